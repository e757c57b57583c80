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
	proposal VARCHAR(16) NOT NULL, 
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
	PRIMARY KEY (topic, partition, "offset", timestamp_ms)
);
CREATE TABLE read_positions (
	topic VARCHAR NOT NULL, 
	partition INTEGER NOT NULL, 
	topic_id VARCHAR NOT NULL, 
	next_offset BIGINT NOT NULL, 
	PRIMARY KEY (topic, partition)
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
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE000', X'01E26F90F78C7E0094E06D74C3E57E121361DA7581572CDF10703A4B0C3B356724249E782C6B2510A1158CFFE36FECA3AF8C70815027162A486063AF30FEBAAC3A', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE000', '42TBASE000', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7BABA3ACD475B1B46FDA4F740ABAF75DA161419A9B9D62EEA226A6175C2057FFDE922B557227188795538299A25E3E4ADE881C3DEE27FE9D617C242A144F0AF39AFAE3BE027D745257CBF642CC9767ACBCD9E99519C2926EFD06E0BD3B2BE6FCE38807C54ECD8BF798F6DDCD964', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:01.000000', 'placing', 1, 0, '', '', NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '2903f7696c90a78f0dc934a1b3e2020d50f4281daa189bb4ac5ce0fcf93fc1ef');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE001', X'01E26F90F77CF1429F98CD74D75A03D38E126270C587AC5A02E1ED077F6BA4AB64F8C84281EC6341EF35F57250224EC6F25A1F116DB2F556B632E27D4FF165D0A9', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE001', '42TBASE001', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F79EBFDADCC33EB278101DE8D283F7B4D53B62B85B11517789CE75D2873FA9F1658F60AD1119471DDB5789AE5E8818CC8E4BF8080FE44686EE25681679565E49101D2615ED2BCA4886D7AE1AF9615740A5F503823CBD27633E3FA406B2D80DDC0C2D891FD4D865812D43A885FF57', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:02.000000', 'in_doubt', 0, 0, '', 'no answer', '2026-11-01 12:00:06.000000', NULL, NULL, 1, X'01E26F90F7AE220EC724B92E1E6AC56B2BF76BF9A7F842439614CAD13C0235631AB550D586A6AF75683B94F8DB0B6AC0D8F5B504A637573F04333C', '2026-11-01 12:05:04.000000', '2026-11-01 12:00:04.000000', NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '195247afdb551a12c5d5583ad9c061c485790712b5329eb5bb9563f08bc2f437');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE002', X'01E26F90F726CA834435D951B503D6A73302F524AA62A15203A722B35D80DAC4439D54340597A9F273220491E25E6CE2735566E49000DF31E425939DF19FD67CB1', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE002', '42TBASE002', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F73BE11F77AD1CDDF12A10CD68E33E77140719B1B7063C58598060DFB79F760CD88FD390EB0F04433244CB2323CFB41D73E831BD6F8B6D356C11852458A4C0F49851156E9D84DA79D3203DC1A7B322B8FFE8725C3EC9866A2E954F3F8D79B1224EDAAC4DECE068577C7259B87DA3', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:07.000000', 'refunding', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F757693DE11F811A44172BCC31EC15CD1EAEF9ECF9436B26FCB4B97BFDD182BB8B29637FB2A65DCAA75429B0A5CFD7A31316F14000F0F1', '2026-11-01 12:05:09.000000', '2026-11-01 12:00:09.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:11.000000', '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', 'aee8effe6d6d570c72d95316ecb8aa8b7e9dd67e0fb547b2095b8fd62c3d8285');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE003', X'01E26F90F7E4BBCE5A6C96D2481B5ADE87D2F6F7A0CBEA22449B22F79FAF78D03D5D220C341431EC06CF7D64D0040F15680C18472671E07BE6E1B5A8177CCD1C5E', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE003', '42TBASE003', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F72D01EDDB24A39A8E9E75147353D7A2DFC6240CF1855FDB715CAE0E0227084AFBF6ABDE576533F78C847865CDC5C83F654880BDFFC26EBFB1D2E77AE13A614045A9AE5CF4CFD098C689E1F3C0A3E73EAA5DC5058A81384BEF255684AE60B94063AF384EDD6F2C6BC032B542C76E', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:12.000000', 'refunding', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F733F6F02E0CBB7A56BA3F9893A8815AB493A490A0B7AE9191ADFA00F92932CF2DC4998683DE7962097E1EF07DB3697EF26D67F0DDDD00', '2026-11-01 12:05:14.000000', '2026-11-01 12:00:14.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:16.000000', '', 0, 1, '2026-11-01 12:00:18.000000', '2026-11-01 12:00:20.000000', 'sent', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '77788dce6375e8d6379f8d56d41c01d1115f9e783c052d36725ff84fc48b7e90');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE004', X'01E26F90F774088A1594F5BDC9A9FBE923D72A51C93F5469F443BB480D80B4680011567A811D1D8A4F59A7BA030C909EC3FEF8C839EF17D044F42BACF511B3DA18', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE004', '42TBASE004', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F732022B1B3D31AD4E4404D445CD0B66C4679496BE5F7BE1214B43FD2C928E036CE15DCBFA3F235869C05DEBCF631617F21CCF9ADD294CA11F66556AD9D9B1952D6D38F382619A6E4B902752DFAC2D53CC2E87BA6C6141AD2A7438E84AE1B6C74E18E29DB68FB7D78F2E7E4EB288', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:21.000000', 'delivered', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F78A093FA712B45A9295FC1D1E09D81720975C984585D22DE3F589E3E5BEAC06DF4BF1F17E0EA81562487EE6176722640CE090566C5601', '2026-11-01 12:05:23.000000', '2026-11-01 12:00:23.000000', NULL, NULL, NULL, '', '', NULL, '', 'completed', '', '2026-11-01 12:00:25.000000', 'C1', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', 'delivered', '2026-11-01 12:00:27.000000', NULL, '', '', NULL, '', '', '', '59ddf5184e7bcd502d8d0094c001aca4f6b278b53f1cd846fcfb024f1546b0d3');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE005', X'01E26F90F7B0347E5170F84CD42B4D28DD925CCF44CAFFF741F40429BDA726CECA53CCF50DC5CA90660495050ED49586EB66636F11FB89A90F38C1F538EA4551CA', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE005', '42TBASE005', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7B5B01B16B3E63E65C3CCB1C0AFD4A273884632146F96D25ACAF0FE47E75EF533D51C5AA68231645737872000FDD3C3B88E10E68D4AB73BC6F1FEBCF5A188891309C208FB1E7BEDA0BAB3895D57D0255DA5225CE0771B54466F33CD1ED44F578F0C811BE1B11C6D302270DBA2AE', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:28.000000', 'refunded', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F758D01B7387DCBB0BCF7EA3D05E62882674C189FDB4B0911ACCF9B29342EE41CC18BA6AA5784EAD2D38CDF55F0DB8372DA9CC7E3E97E5', '2026-11-01 12:05:30.000000', '2026-11-01 12:00:30.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:32.000000', '', 0, 1, '2026-11-01 12:00:34.000000', '2026-11-01 12:00:36.000000', 'sent', '', NULL, '', NULL, '', 'refunded', '2026-11-01 12:00:38.000000', NULL, '', '', NULL, '', '', '', 'e71d2cfcbe79866967c133d6b09fd452f0b896a30f6b618695cd60963bec9e6b');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE006', X'01E26F90F70B5271B16F750AE42EA09B0449E458467F1F820EF51C6E961C9805FE7ACD79F801482384145A4EF0CA360309043749E1D583DE49EBC5180737028607', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE006', '42TBASE006', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7F0E7745AFD3C631A77CBB542855A5D8774C485F3D9080613CA972AB0188A4342383F045D4169576B638FF8533E6C1AC8393821C83C061905A687683B209B13A033892B53E9FEF8921B03F01BFCB4D0D39015E3FB3C1DB67D0F04E7FEC5E63C52437E5DFF2099C57E4B8579A538', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:39.000000', 'parked', 0, 1, 'carrier_silent', 'no answer', '2026-11-01 12:00:43.000000', NULL, NULL, 1, X'01E26F90F7685DA980597D80609391F03758F155ACF7890195DA9AA10BCB14E18D1322CE9E6C6B36097DCB7E3EE3CA10B54FD315C02828C67D63D7', '2026-11-01 12:05:41.000000', '2026-11-01 12:00:41.000000', NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '63361afdf09b3002c119b206d3ee4497df00ed65cbfdc0a77700cf86359dec0a');
CREATE TRIGGER order_events_no_update BEFORE UPDATE ON order_events
                BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER order_events_no_delete BEFORE DELETE ON order_events
                BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER order_events_no_replace BEFORE INSERT ON order_events
            WHEN EXISTS (SELECT 1 FROM order_events WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
