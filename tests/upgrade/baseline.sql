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
CREATE TABLE duties (
	name VARCHAR(32) NOT NULL, 
	holder VARCHAR NOT NULL, 
	until DATETIME NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE pushes (
	order_id VARCHAR(32) NOT NULL, 
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
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE000', X'01E26F90F780BEA8C8EE9286DC94EEB6C3654310735D931F942F06860AFCA181384426B21FFB1376266A5A16EB444773CA98F754208A5585ECDB5A66138D9F0E17', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE000', '42TBASE000', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7F57D1FAA438A6D4172CD562FD183C3114E17616A94CA73761BB27592627BF7AF686D5C8219F26A589D59140C7802464DB235FBDA5A71756124A05DA84322A97231E468CB05457B8E3E32974245FA67AD310BC197D9A949B7E865721FAB82FBB657CF31FC8CCA5E777440E6C1A5', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:01.000000', 'placing', 1, 0, '', '', NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '2903f7696c90a78f0dc934a1b3e2020d50f4281daa189bb4ac5ce0fcf93fc1ef');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE001', X'01E26F90F72D080E9DA205A6F297F19849D0A217AF8D221FBAEE841972EA4C7C5D0859842C170D2FDFB37F4E6867B3D01B86D9A57CB609363872996FA86CAFDC6B', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE001', '42TBASE001', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7BA319794BBD32A2B971403BAF6025CD1C9709B90C4B0187FAF00D1FA94C2D55AAA5E7E91116EFD3060A990640DEEB4A63C1CA3ABB0F449E3F0FDCEA3665C4B01D9552BF4A52F2F12D0F79A035FC02AA67B185B93D508A42F2F6CCF18DF7F533A17E7EB9896C0D8558ED98B3E84', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:02.000000', 'in_doubt', 0, 0, '', 'no answer', '2026-11-01 12:00:06.000000', NULL, NULL, 1, X'01E26F90F7962E99A1888253C07197C4024D41C21130DFD63F2A1705EF30F1FC63FF1F20BB42554208A1127C66358B319FBE66FC9D28077D8926E9', '2026-11-01 12:05:04.000000', '2026-11-01 12:00:04.000000', NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '195247afdb551a12c5d5583ad9c061c485790712b5329eb5bb9563f08bc2f437');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE002', X'01E26F90F7993CB73E5905E28644E58453D71E5F4E40C206A778973916B292F87CB95EE35BA825BE2A628CFF50395AECAE56C4B10BEC16F7D4A84253D2ED11DF28', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE002', '42TBASE002', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7A6C0343E07A566B13A31452371D1D71B38FE74B05E0A120BE319449D48597282ED3C45C0895030942C9260A5795F5B52A09FE7BC9DB4177083F21D5353CA116B75BB6B9E2B74A02FB70B8ECE14589E37FA01B02009D62A8060027DAE984853266D5C40373B24A5755E8C5A900A', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:07.000000', 'refunding', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F7B7D973BA086093384DD0728EEC7A4F3F57974AFFD63A7FB4299B06A35385B41407DAD71D3BA0FAC7F1EBE41F3BBB09AAEF1AC496E862', '2026-11-01 12:05:09.000000', '2026-11-01 12:00:09.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:11.000000', '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', 'aee8effe6d6d570c72d95316ecb8aa8b7e9dd67e0fb547b2095b8fd62c3d8285');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE003', X'01E26F90F7E3ABE203E8BBEEB1FFF099DFEF230B79841EE9EF69125CD16B727B5C350BEB2FC20C6E60ED0198D0E880ABCD82A72EBE4FB96CA277CD84917B2AFADB', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE003', '42TBASE003', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7D58CE6B6C16CC037D17084E4C178EE5CA734B3FA938EE639103B1134600BA1A4CC901C5F4B9B20BF164F5A407743D8A9414D8ACE62DDFAFC89E5569A08DA8F267D9DF4031ADFA4F467AC116D19521545E2574ABB9233834DD5293F4FB24D2FF118D3DFC686F318562A0642DE9B', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:12.000000', 'refunding', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F7B7BDBD67A6FF5774B92D28F0AD012E086292AE2A7AFA6AA9DAF3185929B656824243767994727AE92110CD0AAB2C951796D55CB385D0', '2026-11-01 12:05:14.000000', '2026-11-01 12:00:14.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:16.000000', '', 0, 1, '2026-11-01 12:00:18.000000', '2026-11-01 12:00:20.000000', 'sent', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '77788dce6375e8d6379f8d56d41c01d1115f9e783c052d36725ff84fc48b7e90');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE004', X'01E26F90F7EEAA9CFB05270B15452D82A0001A7815C7882CF00B0B900265203081C1011C2DA3965E6ACCDD2995CDE33D528E44462C988C12C4B1917340AFEB1B15', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE004', '42TBASE004', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F72DBC7E229A67474BFE53854C9D23766381C24816AF96ACD0DD4D17092B5711FA5222D52718DD04918F4CE80A5857583949BC07AC05FA73E1360A3B1617D1B63DBD4FACE77BC90763DD87414306112F0BAB8269D3B476958A0FD6966B5B0193504BD31A0FAFCA21B4FCB0A4DBE9', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:21.000000', 'delivered', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F7AE7F1825A4A3BFA7CA94527FBB590A99972BABF601F59F12127369F68872B4690C9D3DC5BB5037247BAA9D725AAE57647C544AE79188', '2026-11-01 12:05:23.000000', '2026-11-01 12:00:23.000000', NULL, NULL, NULL, '', '', NULL, '', 'completed', '', '2026-11-01 12:00:25.000000', 'C1', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', 'delivered', '2026-11-01 12:00:27.000000', NULL, '', '', NULL, '', '', '', '59ddf5184e7bcd502d8d0094c001aca4f6b278b53f1cd846fcfb024f1546b0d3');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE005', X'01E26F90F7B77377427398DC63C4A8727FB3AD4981FC332C70392EC1F731B3BD64054BF6F60D86AECE8739D78F14B0C1571AF7E47968C6277B1811E107EB3F260C', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE005', '42TBASE005', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F71503CB5DA06300BF1B8F11C17E6AD47F1999F6A3F5AB16B44CB47886C69FA0900E6E67E90A0A5FD579C821C6AE7CE7E208ACF2A0984C0CA584BC6062700BF7A561367DA73F4BD43C7AF33D019C56EFF93B6067F75FD7F9B059C4711CA4046FD8DB2F6AF048FFF8FE047117A76E', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:28.000000', 'refunded', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F7FCFE66DDDDED22262CD891E3ADE41DE8D43D44BC6E4857D3D9ACD4499E379500319418458E5D82FF00B12DC21439E44332EF1BD025F6', '2026-11-01 12:05:30.000000', '2026-11-01 12:00:30.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:32.000000', '', 0, 1, '2026-11-01 12:00:34.000000', '2026-11-01 12:00:36.000000', 'sent', '', NULL, '', NULL, '', 'refunded', '2026-11-01 12:00:38.000000', NULL, '', '', NULL, '', '', '', 'e71d2cfcbe79866967c133d6b09fd452f0b896a30f6b618695cd60963bec9e6b');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE006', X'01E26F90F7152F5A0A2AA16256BCA6DC1D8C428F3F30D5F943D2E8C6D3CE8CCA37CC7B784BBB00A5F4796F3BA08F04B8946AAD85E0F49CAE96957A1269E5C7D608', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE006', '42TBASE006', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F79E0FAC9277C88AF355434F0ED8EDD7CC35201D63FB3B2F1F1DE9645BF56E9E551D4C9365F32A73F279050AE252A6F80EFCFEA0C427BDABDCCFA640F357FE6C89AA35BACFDEB982B0637EFADDEA2678B2EAF11D5CAA9365B5CB044B909FE57166006404D1FE643C3648611BD9BA', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:39.000000', 'parked', 0, 1, 'carrier_silent', 'no answer', '2026-11-01 12:00:43.000000', NULL, NULL, 1, X'01E26F90F7EE4FD609E1793DD76A113F9451441FF20CBE0FA63293050EC7B6682BF4EFC0472AD1FF7FB386FA3E78DE88A01177D91920C0EEEB0555', '2026-11-01 12:05:41.000000', '2026-11-01 12:00:41.000000', NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '63361afdf09b3002c119b206d3ee4497df00ed65cbfdc0a77700cf86359dec0a');
CREATE TRIGGER order_events_no_update BEFORE UPDATE ON order_events
                BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER order_events_no_delete BEFORE DELETE ON order_events
                BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER order_events_no_replace BEFORE INSERT ON order_events
            WHEN EXISTS (SELECT 1 FROM order_events WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
