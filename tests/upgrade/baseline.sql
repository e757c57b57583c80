CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE notices (
	order_id VARCHAR(32) NOT NULL, 
	result VARCHAR(16) NOT NULL, 
	platform VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	remark VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (order_id, result, platform)
);
CREATE TABLE order_events (
	id INTEGER NOT NULL, 
	order_id VARCHAR(32) NOT NULL, 
	at DATETIME NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	detail JSON NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE orders (
	order_id VARCHAR(32) NOT NULL, 
	content_digest BLOB NOT NULL, 
	package_id VARCHAR(64) NOT NULL, 
	amount_fen INTEGER NOT NULL, 
	currency VARCHAR(3) NOT NULL, 
	provider VARCHAR NOT NULL, 
	merchant_id VARCHAR(64) NOT NULL, 
	out_trade_no VARCHAR(64) NOT NULL, 
	transaction_id VARCHAR(64) NOT NULL, 
	paid_at VARCHAR(40) NOT NULL, 
	paid_on VARCHAR(10) NOT NULL, 
	vehicle BLOB NOT NULL, 
	vehicle_hash VARCHAR(32) NOT NULL, 
	iccid_hash VARCHAR(32) NOT NULL, 
	msisdn_hash VARCHAR(32) NOT NULL, 
	claimed_at DATETIME NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	first_pass BOOLEAN NOT NULL, 
	needs_operator BOOLEAN NOT NULL, 
	attention VARCHAR(32) NOT NULL, 
	reason VARCHAR NOT NULL, 
	in_doubt_since DATETIME, 
	reopened_at DATETIME, 
	retry_requested_at DATETIME, 
	posts INTEGER NOT NULL, 
	body BLOB, 
	completion_date DATETIME, 
	last_post_at DATETIME, 
	last_post_answered_at DATETIME, 
	carrier_not_before DATETIME, 
	not_found_at DATETIME, 
	cancel_reason VARCHAR(32) NOT NULL, 
	resolution_note VARCHAR NOT NULL, 
	burn_at DATETIME, 
	burn_reason VARCHAR(32) NOT NULL, 
	carrier_outcome VARCHAR(16), 
	carrier_code VARCHAR NOT NULL, 
	carrier_outcome_at DATETIME, 
	carrier_order_id VARCHAR NOT NULL, 
	contradicted BOOLEAN NOT NULL, 
	refund_sequence INTEGER NOT NULL, 
	refund_at DATETIME, 
	refund_sent_at DATETIME, 
	refund_answered VARCHAR(16) NOT NULL, 
	refund_denied VARCHAR NOT NULL, 
	refund_denied_at DATETIME, 
	paid_another_way VARCHAR NOT NULL, 
	refund_confirmed_at DATETIME, 
	provider_refund_id VARCHAR NOT NULL, 
	outcome VARCHAR(16), 
	settled_at DATETIME, 
	restored_at DATETIME, 
	proposal VARCHAR(16) NOT NULL, 
	proposed_by VARCHAR NOT NULL, 
	proposed_at DATETIME, 
	proposed_note VARCHAR NOT NULL, 
	confirmed_by VARCHAR NOT NULL, 
	confirmed_note VARCHAR NOT NULL, 
	trail VARCHAR(64) NOT NULL, 
	PRIMARY KEY (order_id), 
	CONSTRAINT one_order_per_payment UNIQUE (provider, transaction_id)
);
CREATE TABLE bills (
	source VARCHAR(16) NOT NULL, 
	day VARCHAR(10) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	token VARCHAR(32) NOT NULL, 
	why VARCHAR NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	lines INTEGER NOT NULL, 
	payments_fen BIGINT NOT NULL, 
	refunds_fen BIGINT NOT NULL, 
	judged BOOLEAN NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (source, day)
);
CREATE TABLE bill_lines (
	source VARCHAR(16) NOT NULL, 
	day VARCHAR(10) NOT NULL, 
	transaction_id VARCHAR(64) NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	refund_number VARCHAR(96) NOT NULL, 
	out_trade_no VARCHAR(64) NOT NULL, 
	amount_fen BIGINT NOT NULL, 
	at VARCHAR(19) NOT NULL, 
	ended VARCHAR(8) NOT NULL, 
	PRIMARY KEY (source, day, transaction_id, kind, refund_number)
);
CREATE TABLE statement_lines (
	day VARCHAR(10) NOT NULL, 
	order_id VARCHAR(64) NOT NULL, 
	carrier_order_id VARCHAR(128) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	PRIMARY KEY (day, order_id, carrier_order_id)
);
CREATE TABLE differences (
	id VARCHAR(256) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	source VARCHAR(16) NOT NULL, 
	day VARCHAR(10) NOT NULL, 
	why VARCHAR NOT NULL, 
	transaction_id VARCHAR(64) NOT NULL, 
	order_id VARCHAR(64) NOT NULL, 
	book_fen BIGINT, 
	outside_fen BIGINT, 
	state VARCHAR(16) NOT NULL, 
	put_as VARCHAR(16) NOT NULL, 
	first_seen DATETIME NOT NULL, 
	opened_at DATETIME NOT NULL, 
	closed_at DATETIME, 
	operator VARCHAR NOT NULL, 
	note VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE unmatched_payments (
	provider VARCHAR(16) NOT NULL, 
	transaction_id VARCHAR(64) NOT NULL, 
	order_id VARCHAR(32) NOT NULL, 
	merchant_id VARCHAR NOT NULL, 
	out_trade_no VARCHAR NOT NULL, 
	amount_fen BIGINT NOT NULL, 
	currency VARCHAR NOT NULL, 
	paid_at VARCHAR(40) NOT NULL, 
	paid_on VARCHAR(10) NOT NULL, 
	reason VARCHAR(16) NOT NULL, 
	kept_at DATETIME NOT NULL, 
	partition INTEGER NOT NULL, 
	"offset" BIGINT NOT NULL, 
	record_value BLOB NOT NULL, 
	record_mac BLOB, 
	ending VARCHAR(16) NOT NULL, 
	ended_at DATETIME, 
	ended_by VARCHAR NOT NULL, 
	ended_note VARCHAR NOT NULL, 
	proposal VARCHAR(64) NOT NULL, 
	proposed_by VARCHAR NOT NULL, 
	proposed_at DATETIME, 
	proposed_note VARCHAR NOT NULL, 
	confirmed_by VARCHAR NOT NULL, 
	confirmed_note VARCHAR NOT NULL, 
	PRIMARY KEY (provider, transaction_id)
);
CREATE TABLE dead_letters (
	topic VARCHAR NOT NULL, 
	partition INTEGER NOT NULL, 
	"offset" BIGINT NOT NULL, 
	timestamp_ms BIGINT NOT NULL, 
	place VARCHAR(32) NOT NULL, 
	reason VARCHAR NOT NULL, 
	error VARCHAR NOT NULL, 
	dead_at VARCHAR NOT NULL, 
	kept_at DATETIME NOT NULL, 
	order_id VARCHAR(32) NOT NULL, 
	provider VARCHAR(16) NOT NULL, 
	transaction_id VARCHAR(64) NOT NULL, 
	amount_fen BIGINT NOT NULL, 
	paid_on VARCHAR(10) NOT NULL, 
	ending VARCHAR(16) NOT NULL, 
	ended_at DATETIME, 
	ended_by VARCHAR NOT NULL, 
	ended_note VARCHAR NOT NULL, 
	proposal VARCHAR(64) NOT NULL, 
	proposed_by VARCHAR NOT NULL, 
	proposed_at DATETIME, 
	proposed_note VARCHAR NOT NULL, 
	confirmed_by VARCHAR NOT NULL, 
	confirmed_note VARCHAR NOT NULL, 
	PRIMARY KEY (topic, partition, "offset", timestamp_ms)
);
CREATE TABLE read_positions (
	topic VARCHAR NOT NULL, 
	partition INTEGER NOT NULL, 
	topic_id VARCHAR NOT NULL, 
	next_offset BIGINT NOT NULL, 
	PRIMARY KEY (topic, partition)
);
CREATE TABLE duties (
	name VARCHAR(32) NOT NULL, 
	holder VARCHAR NOT NULL, 
	until DATETIME NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE pushes (
	order_id VARCHAR(40) NOT NULL, 
	attention VARCHAR(32) NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (order_id)
);
CREATE TABLE holds (
	id INTEGER NOT NULL, 
	part VARCHAR(16) NOT NULL, 
	held_at DATETIME NOT NULL, 
	held_by VARCHAR NOT NULL, 
	note VARCHAR NOT NULL, 
	until DATETIME, 
	released_at DATETIME, 
	released_by VARCHAR NOT NULL, 
	released_note VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE call_slots (
	part VARCHAR(16) NOT NULL, 
	next_at_us BIGINT NOT NULL, 
	PRIMARY KEY (part)
);
CREATE TABLE goodwill_refunds (
	order_id VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	amount_fen INTEGER NOT NULL, 
	asked_by VARCHAR NOT NULL, 
	asked_note VARCHAR NOT NULL, 
	asked_at DATETIME NOT NULL, 
	approved_by VARCHAR NOT NULL, 
	approved_note VARCHAR NOT NULL, 
	approved_at DATETIME, 
	attention VARCHAR(32) NOT NULL, 
	reason VARCHAR NOT NULL, 
	reopened_at DATETIME, 
	retry_requested_at DATETIME, 
	refund_sequence INTEGER NOT NULL, 
	refund_at DATETIME, 
	refund_sent_at DATETIME, 
	refund_answered VARCHAR(16) NOT NULL, 
	refund_denied VARCHAR NOT NULL, 
	refund_denied_at DATETIME, 
	paid_another_way VARCHAR NOT NULL, 
	refund_confirmed_at DATETIME, 
	provider_refund_id VARCHAR NOT NULL, 
	outcome VARCHAR(16), 
	settled_at DATETIME, 
	proposal VARCHAR(16) NOT NULL, 
	proposed_by VARCHAR NOT NULL, 
	proposed_at DATETIME, 
	proposed_note VARCHAR NOT NULL, 
	confirmed_by VARCHAR NOT NULL, 
	confirmed_note VARCHAR NOT NULL, 
	PRIMARY KEY (order_id, number)
);
CREATE INDEX order_events_order ON order_events (order_id);
CREATE INDEX orders_first_pass ON orders (order_id) WHERE first_pass;
CREATE INDEX orders_unsettled ON orders (order_id) WHERE outcome IS NULL;
CREATE INDEX orders_vehicle ON orders (vehicle_hash);
CREATE INDEX orders_paid_on ON orders (provider, paid_on, transaction_id);
CREATE INDEX orders_settled_at ON orders (outcome, settled_at, order_id);
CREATE INDEX orders_out_trade_no ON orders (out_trade_no);
CREATE INDEX orders_iccid ON orders (iccid_hash);
CREATE INDEX orders_msisdn ON orders (msisdn_hash);
CREATE INDEX bill_lines_payment ON bill_lines (source, transaction_id);
CREATE INDEX bill_lines_out_trade_no ON bill_lines (source, out_trade_no);
CREATE INDEX statement_lines_order ON statement_lines (order_id);
CREATE INDEX differences_day ON differences (day, source);
CREATE INDEX differences_payment ON differences (source, transaction_id);
CREATE INDEX differences_open ON differences (day) WHERE state = 'open';
CREATE INDEX unmatched_payments_out_trade_no ON unmatched_payments (out_trade_no);
CREATE INDEX dead_letters_payment ON dead_letters (provider, transaction_id);
CREATE INDEX unmatched_payments_paid_on ON unmatched_payments (provider, paid_on, transaction_id);
CREATE INDEX dead_letters_paid_on ON dead_letters (provider, paid_on, transaction_id);
CREATE INDEX unmatched_payments_open ON unmatched_payments (kept_at) WHERE ending = '';
CREATE INDEX dead_letters_open ON dead_letters (kept_at) WHERE ending = '';
CREATE INDEX notices_unpublished ON notices (platform) WHERE state IN ('waiting', 'pending');
CREATE INDEX orders_need_operator ON orders (order_id) WHERE needs_operator;
CREATE INDEX pushes_parked ON pushes (order_id) WHERE attention <> '';
CREATE INDEX holds_not_released ON holds (part) WHERE released_at IS NULL;
CREATE INDEX goodwill_refunds_not_ended ON goodwill_refunds (order_id) WHERE approved_at IS NOT NULL AND outcome IS NULL;
CREATE INDEX goodwill_refunds_settled_at ON goodwill_refunds (settled_at);
INSERT INTO alembic_version (version_num) VALUES ('0001');
INSERT INTO notices (order_id, result, platform, state, remark, at) VALUES ('TBASE004', 'delivered', 'cars', 'pending', 'away', '2026-11-01 12:00:46.000000');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (1, 'TBASE000', '2026-11-01 12:00:01.000000', 'claimed', '{}', '2903f7696c90a78f0dc934a1b3e2020d50f4281daa189bb4ac5ce0fcf93fc1ef');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (2, 'TBASE001', '2026-11-01 12:00:02.000000', 'claimed', '{}', '3a234a746d1c30063f1562a8a05de36c6066e2b3781665cb10ee8126a9b565a9');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (3, 'TBASE001', '2026-11-01 12:00:03.000000', 'posted', '{}', 'e813278c64bd8774c4a0e2a0d689ec906d872aaada07e25e814345c1b10417c6');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (4, 'TBASE001', '2026-11-01 12:00:05.000000', 'answer', '{"status": "in_doubt"}', '195247afdb551a12c5d5583ad9c061c485790712b5329eb5bb9563f08bc2f437');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (5, 'TBASE002', '2026-11-01 12:00:07.000000', 'claimed', '{}', '5c9bb090f7181f86bd975012a0bfbcbabd700ad67110f1f3d9116872b22f3d6a');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (6, 'TBASE002', '2026-11-01 12:00:08.000000', 'posted', '{}', '40b386869bb1ce79ec3670c6d92579df7e4681d0d5fbc39f2acab013e67934f1');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (7, 'TBASE002', '2026-11-01 12:00:10.000000', 'answer', '{"status": "refunding"}', 'aee8effe6d6d570c72d95316ecb8aa8b7e9dd67e0fb547b2095b8fd62c3d8285');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (8, 'TBASE003', '2026-11-01 12:00:12.000000', 'claimed', '{}', '31fbf688a549b11ebd0b8949e3c3b50fe10b1bc49c033b91ca0f8c62ef61a0d2');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (9, 'TBASE003', '2026-11-01 12:00:13.000000', 'posted', '{}', '4d9a5eb17e0cf2416ef76fe8eb413ff844b9a560822196912301b328e4a8152d');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (10, 'TBASE003', '2026-11-01 12:00:15.000000', 'answer', '{"status": "refunding"}', '9638cab1d36102bbd3fceeff2e4c0d43ebe0321371cdc942f287e05616a5a616');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (11, 'TBASE003', '2026-11-01 12:00:17.000000', 'refund_intended', '{}', 'cfe6601b10b402fdbbdafc7d6afdd7566647eef9583bbf6b65ef9211a8ce7826');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (12, 'TBASE003', '2026-11-01 12:00:19.000000', 'refund_sent', '{}', '77788dce6375e8d6379f8d56d41c01d1115f9e783c052d36725ff84fc48b7e90');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (13, 'TBASE004', '2026-11-01 12:00:21.000000', 'claimed', '{}', 'a2da322ec04b4ee5ae7c662dcf8b9b4de2d57474a32cdc5c4156edfd01f86014');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (14, 'TBASE004', '2026-11-01 12:00:22.000000', 'posted', '{}', 'e13e86c1688572fcfa5dbef6c70446b221b32102bc390ec9ba1a5d2347b166a7');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (15, 'TBASE004', '2026-11-01 12:00:24.000000', 'answer', '{}', 'acffe79a7f77e42efe429aef8641bf40e36b67035e1d4275e3cc0b2d336f10d6');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (16, 'TBASE004', '2026-11-01 12:00:26.000000', 'settle', '{"status": "delivered"}', '63bb4be64d067b8f50a9ca08f261e67eb82f902b3a7857cedb62d6d0e76fbb63');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (17, 'TBASE005', '2026-11-01 12:00:28.000000', 'claimed', '{}', 'f127aa21d1677428d7154465a89d4003f9f49798c032d4bb52aa71acef0cec15');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (18, 'TBASE005', '2026-11-01 12:00:29.000000', 'posted', '{}', 'bcb0e20d67b177fbd634c3fd39a39143e2b1a31ba7a531d399b8ba6308ff8650');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (19, 'TBASE005', '2026-11-01 12:00:31.000000', 'answer', '{"status": "refunding"}', '5e602629e017bd7f07ad1726d6cba3a05bec9ae8b699fc7dea767bb8d8a2fb71');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (20, 'TBASE005', '2026-11-01 12:00:33.000000', 'refund_intended', '{}', '6fe107561eae521971b8c4ed4ec6b5623943a006e832744d08c795853a2a14c7');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (21, 'TBASE005', '2026-11-01 12:00:35.000000', 'refund_sent', '{}', '2b071706bb00f50f281997a347d07d3bb033aa0741c1f0866d2df48d32ed3078');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (22, 'TBASE005', '2026-11-01 12:00:37.000000', 'settle', '{"status": "refunded"}', 'e71d2cfcbe79866967c133d6b09fd452f0b896a30f6b618695cd60963bec9e6b');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (23, 'TBASE006', '2026-11-01 12:00:39.000000', 'claimed', '{}', 'bc4ea6df6122b8c18bc42d814543dea3f9f8d393934c06585f348d0625c848a9');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (24, 'TBASE006', '2026-11-01 12:00:40.000000', 'posted', '{}', '57be48f598288efaacf485465503115003fb9f9ae0e33dc25326e8043433a721');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (25, 'TBASE006', '2026-11-01 12:00:42.000000', 'answer', '{"status": "in_doubt"}', '56a46481d59650b7953e08254725e8637055b2bf8d5eae0e238446f73546131a');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (26, 'TBASE006', '2026-11-01 12:00:44.000000', 'waits_for_a_person', '{"status": "parked"}', '63361afdf09b3002c119b206d3ee4497df00ed65cbfdc0a77700cf86359dec0a');
INSERT INTO order_events (id, order_id, at, kind, detail, hash) VALUES (27, 'TBASE004', '2026-11-01 12:00:47.000000', 'notice_delivered', '{"cars": "pending"}', '59ddf5184e7bcd502d8d0094c001aca4f6b278b53f1cd846fcfb024f1546b0d3');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE000', X'01E26F90F7A8580A368BAC2BEE39333701DE31DF703AAFE758584FC29076AF8AC553B48B3DB4547BE25328C300BB624FB0773623E434D00E3C5D14C96E1BEB3FF1', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE000', '42TBASE000', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F76948AC3B7DB0800912CEEB1F7427FACAAA65012C2B078B6BFEF8E90E8D5FA69ED048DA8C389DB3AF6B6EA2C7145B766041AF3D5FD940736A01BD5A5D85DA78E7898AF63BC3AD2CEF1B2F10BBC11B9C6CCB4B68CDD80F4B3512358A77E6BA7917EF8BCCFF29D68F80EBC1C00D2F', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:01.000000', 'placing', 1, 0, '', '', NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '2903f7696c90a78f0dc934a1b3e2020d50f4281daa189bb4ac5ce0fcf93fc1ef');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE001', X'01E26F90F7D3D88B92DD1254448B44009E6680B6CD97258DE8D0A959C011357A724B0894D52B21F23BFCD1227125F8097B6335E0A9E62FCACE2B679ED90C78A85B', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE001', '42TBASE001', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F709CFEBB81D0EF4C555315918DD70771053595A3F64FF3F6143440B3BF6F9A23C072E9ACEF34814D58822F5EF50D274D954DF7B550CD32DCD811D999C2476DF642D56BFA1A5B650EE1FC1D66F4C7DA0ACA90F40A955BC8ADC9E3FAE4D6294EEA96AF4A36F09E92B838B1546BFE4', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:02.000000', 'in_doubt', 0, 0, '', 'no answer', '2026-11-01 12:00:06.000000', NULL, NULL, 1, X'01E26F90F79DDCAEB6ABE774744DC797DDC62D4CC1072648B11D6661ED4B22799319B58C07AD0B2FF4D3B0347AE516B41D7595D2F2A3E11CA059FD', '2026-11-01 12:05:04.000000', '2026-11-01 12:00:04.000000', NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '195247afdb551a12c5d5583ad9c061c485790712b5329eb5bb9563f08bc2f437');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE002', X'01E26F90F7BFA90164175C2758BBBAF1CDF630EF85B554BB943C55783ADB0F5FD0B91ABD22D98160C1C9EF8F7FB83EBE9AE3F178208581EFCBAF640E138EEF6B28', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE002', '42TBASE002', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7C8A1ED3B3897A9BFB4A93A3AA8DB2D19C5FD3A79050F473B1C8B36C7DF5AA100AA1321AB010E2C73D7CF106D67DD1794D2564E6482E001F889BF07DF312779ECDAB6594650247D988EE9E0517600DACDC2A8F34A74853059BD4301D9401E876FB46BEA9CDDA05F51582827FC40', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:07.000000', 'refunding', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F7D3D8418B93BB303DFD4A2A4B0469731F4C17B4C0B8D2A169D20EFB0A148A05EE484667FD88FDC4E1895FA7C595FA3665E96D1FFC1261', '2026-11-01 12:05:09.000000', '2026-11-01 12:00:09.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:11.000000', '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', 'aee8effe6d6d570c72d95316ecb8aa8b7e9dd67e0fb547b2095b8fd62c3d8285');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE003', X'01E26F90F7287F973BDA35D7D30AE19FB43C06CBC20218291C6784FA8369682D6949216A446DAE38E64CE704522BAC1A0B224261315A0D2DBA67BC7A09FC2B23E1', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE003', '42TBASE003', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F778FF661BC37672224F648D0BDD300F2F3AD00D895821BEEC41BEB31F54BCFE27C6CE00039A01B673130381A9508A826F73290EF2A946CD75B6A347B6F05CAD11C3870D8E62102CEF26689A5963B0E34B77161AFDCDFCD9FFB3CEA5E2601B96E3113E642796790BED298629FEBB', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:12.000000', 'refunding', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F780016598240226DB12C75ABD5D4E8AF46E9BE5FE2E70436E9AD23F8B530E7971ABA58C5A7DD27DA3787F7C5EB1C38ED7604A12BEBE24', '2026-11-01 12:05:14.000000', '2026-11-01 12:00:14.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:16.000000', '', 0, 1, '2026-11-01 12:00:18.000000', '2026-11-01 12:00:20.000000', 'sent', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '77788dce6375e8d6379f8d56d41c01d1115f9e783c052d36725ff84fc48b7e90');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE004', X'01E26F90F79081E5C522C1CFED532F469E637B65949E5701059FD3DF061E6D53F658C3B37AB61500FC20AD05D3B05EC901123D760AF3FB34B551E9ACCA12EED823', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE004', '42TBASE004', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F77D60C85B7D9B404017467CCF4CE6FCDD9588560A0B73F04C2BBE0C3298580B7C3FF927AC67B95D324E1365AD236AD4C97E19A51C25C7C57D16E4B85024D107CE15E83F8DD463635807F885A87C23099BD6AC18AF4FD8D95D2D8ABBE667990B5AC205A0AA2015E8D3DD2E2D0D23', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:21.000000', 'delivered', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F76FBAB930AC34E828C73E4546AB73901F3BE67EB0F936A253B79DDF84F78A538C9C4013F718B0FA96FBE056FFB6EE45907D490D5EAD3F', '2026-11-01 12:05:23.000000', '2026-11-01 12:00:23.000000', NULL, NULL, NULL, '', '', NULL, '', 'completed', '', '2026-11-01 12:00:25.000000', 'C1', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', 'delivered', '2026-11-01 12:00:27.000000', NULL, '', '', NULL, '', '', '', '59ddf5184e7bcd502d8d0094c001aca4f6b278b53f1cd846fcfb024f1546b0d3');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE005', X'01E26F90F7890C173D41C96547F34D755CC3843313079455510AD4343492DB9BB1F21DD407DABDEF91EEF29CAA6BB72367B3A44F610F8F9F9322765D72FBC16554', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE005', '42TBASE005', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7C00B212C7347CA93187036AEC2ACA38A0DE4C6ABC92D9AF83B9781958BC94172D28A09804C101EC9A14D24A0A1C258CE8BD9E66827F26893516DB0E0FB07E38388F46662DA343A165528279D3B5A58B47AAE71BAFED2626F51F7CE78DF201AF7F597E067ED5AC6EA580473EAEB', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:28.000000', 'refunded', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F7F2842A0EB55971874DF99883E4A72AD8AAB6827CCF2AA0159FCFA891592BEA6C05EDEBEFC749FC6B2B0D55452E5C99D31F1BA86571B4', '2026-11-01 12:05:30.000000', '2026-11-01 12:00:30.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:32.000000', '', 0, 1, '2026-11-01 12:00:34.000000', '2026-11-01 12:00:36.000000', 'sent', '', NULL, '', NULL, '', 'refunded', '2026-11-01 12:00:38.000000', NULL, '', '', NULL, '', '', '', 'e71d2cfcbe79866967c133d6b09fd452f0b896a30f6b618695cd60963bec9e6b');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE006', X'01E26F90F7315FB2DC72E09B9FB507D0D7424F3C0C2CA5F7A35489A93284153D411807C6CB4C71AC27C378F01C162C2E9618BCDFC117D24A5FED7ED5A170EE2482', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE006', '42TBASE006', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F730EDE95E2959BB9FB966D929DA74FB3151039BDBCED913270BCCE2009ABBF3F78BB140D83403C955FB61D30C1377B1DE7A5358585FAB1FDC8FF2F5904E3C5DF4BC0F21B5BE316B66C60A3FCDACD0ABD4C6CAE75CBB639A65D49CF0C8CA78298138821160C8DCC5D950CC95014C', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:39.000000', 'parked', 0, 1, 'carrier_silent', 'no answer', '2026-11-01 12:00:43.000000', NULL, NULL, 1, X'01E26F90F766834228288D03C8039BF25DD8CBB1E5A3C3B0102ECD867F620DFBAD2B567CEC8CC021E80808FAC82B5446A1DD9F7EA7DE20E47B5E49', '2026-11-01 12:05:41.000000', '2026-11-01 12:00:41.000000', NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '63361afdf09b3002c119b206d3ee4497df00ed65cbfdc0a77700cf86359dec0a');
CREATE TRIGGER order_events_no_update BEFORE UPDATE ON order_events
                BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER order_events_no_delete BEFORE DELETE ON order_events
                BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER order_events_no_replace BEFORE INSERT ON order_events
            WHEN EXISTS (SELECT 1 FROM order_events WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
