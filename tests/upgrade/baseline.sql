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
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE000', X'01E26F90F7AEEACF59817CFF969B05F156E6FF509DA2296141ECEED8EB81CD5F6AB2A142F055D179EACDF21B6F2D2A26E58DDAF99455745A20FB93CA182378CE76', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE000', '42TBASE000', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F79EB70C7FFB529379E6AE97E62F0E48DC3D4FD4979D3EECE65D71E8DBD86A2D21876B0153A5000BAC0EEFC13757C8AC0BA600F3C3FA206C51AD9A31D09920AEE28BE5ADF5131BA6C284D00D843C7099BCDF9CC4BFB358ABBE4458B150DDE8CB724A9E7FAC4B41AC101ED2D818FD', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:01.000000', 'placing', 1, 0, '', '', NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '2903f7696c90a78f0dc934a1b3e2020d50f4281daa189bb4ac5ce0fcf93fc1ef');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE001', X'01E26F90F7EC1264F04E658A54FD5811D615A2B3E4B762C6D671679D5ACDFDC307AEEC42DD8E86C72D1AC62A1F303E7CB9C87592BCB55F0CB9B44EB1440F295EC5', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE001', '42TBASE001', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7B076676763CD1AFAD794CF243F71F305ED3DF6C40FF4C48CCE23CCFA28A1ED10228076638B45451116709A8F221E863205C2F3BDBD1414F3DBDA8BD4FEF5070A5E4F381B517C40C3D11C25D6D8D0FD1621A223106B2AD3672FC9D31F8A2339F905FAFA1F0912F5836B92CB4117', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:02.000000', 'in_doubt', 0, 0, '', 'no answer', '2026-11-01 12:00:06.000000', NULL, NULL, 1, X'01E26F90F7181763E576974E743C824841C9D37E8191E6F0BB571D8AB287617DFBAF6678D89ECD282A810CDE794ED4B48AE803186AC1C529F6E331', '2026-11-01 12:05:04.000000', '2026-11-01 12:00:04.000000', NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '195247afdb551a12c5d5583ad9c061c485790712b5329eb5bb9563f08bc2f437');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE002', X'01E26F90F774DF3BAC6042D5495CACA7A77AE0166E9BD8011556172226190CF7A717E1C5F291590F9E0D0CEDA1ADC2333C52FA764E1161E86F006AA240893BAB63', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE002', '42TBASE002', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F700762ABD6EF09DFDDC17F1A4F2CEFB99F9FB6FFD798C22D7E3D451CAE5B3C19242086E62BD44C51F17CB6AFF5D3DAD58D4F2E25BC8127384D6BF7FDDADBB83FD44641C06C7D3A8E62FEF3050D6F581C44D9DAA07053A883BFBEF295A0D3D64D6BE4DAC5E5C9A50C7F8F19DD582', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:07.000000', 'refunding', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F79C4CEF1F7F802511558E54DC2775BAAB476D145C316689E97E5911D2A196EE4100A6A68EB7895D19D77BE1567B599562A8949C4DADAA', '2026-11-01 12:05:09.000000', '2026-11-01 12:00:09.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:11.000000', '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', 'aee8effe6d6d570c72d95316ecb8aa8b7e9dd67e0fb547b2095b8fd62c3d8285');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE003', X'01E26F90F7FD9D6F98F15B26DDEEAC8F93798EE6BDED5196171BC6419E6B7F87616FA2E6E2AB641A8723E59679754EAF54458E54AFBADD2DC76D823AD7BC9FC2D5', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE003', '42TBASE003', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F79A60A26DADF8E8AFC2E363E2BDCEAE9B58510FEBD98189D330A496CF4CA1EA243F08CB9D1156A78C2BE71625E74117BBB38D56547807294B44E3B460F5FF6A496DE6330138D0379FA13739426FD79880494C308B38F450B541D55E23AF6B07523DD57F0EA10545A2CC519781ED', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:12.000000', 'refunding', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F7F757016A007236862AB6E6BE06E095D0EFEC5459760EBF145AB17D1E66B4BC655420509FE78F019210B53E0CE3484B5443014A00555C', '2026-11-01 12:05:14.000000', '2026-11-01 12:00:14.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:16.000000', '', 0, 1, '2026-11-01 12:00:18.000000', '2026-11-01 12:00:20.000000', 'sent', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '77788dce6375e8d6379f8d56d41c01d1115f9e783c052d36725ff84fc48b7e90');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE004', X'01E26F90F7F0C52CDF4FADD7EC4A11115055E4AD2E4C7EE6EF45CF1769CB9DFDA7836090AB679BFE57CC860D9C8FF9B1C372884C215705FFBB77194F45A475B660', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE004', '42TBASE004', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7979FD4AD0992AED5FF894F1C8263BAA1F1EEF5A548335C3F6F4DF337992FDCFB004CCDD6FE949A2707733F1B347EDD852E1F36057F4F79712CD163873E30A3424F4E8840FE8CBD9D3862E490F78BD629B32ED1A205D98F1AA726358F7F0A9B7B594B764D7A74047E74426FC3AE', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:21.000000', 'delivered', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F7F1ED795FA5C3540173B988C2280F6DB797416A955623AA909CAB615366BC5BB768275C8C65C442EFAAFBF83438346610FCDED8E0644A', '2026-11-01 12:05:23.000000', '2026-11-01 12:00:23.000000', NULL, NULL, NULL, '', '', NULL, '', 'completed', '', '2026-11-01 12:00:25.000000', 'C1', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', 'delivered', '2026-11-01 12:00:27.000000', NULL, '', '', NULL, '', '', '', '59ddf5184e7bcd502d8d0094c001aca4f6b278b53f1cd846fcfb024f1546b0d3');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE005', X'01E26F90F7FAF5214B0791CEAB6F6AD837EEAA8CA87F14A9AEF41C929F419575C0BD4320ACAC8221F9FA7559D0BD85EE9B3B7C91D2AD13EBB2D31777467B318A95', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE005', '42TBASE005', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F72C1B1B97B5369BD14FEE9E5ACF1EA59A0019964111E968C80F3E714F94091FBA495A71D2A3A7E4A65C03990EB01A0C5FD91A65ED4219E65D60E401CBAA9DFC45D78EEB359C76C68EF519C3121521F588F0D06FE66F9963A2DD491EF26435FFDC8B9097D86CCEC7FC5ADEEEF4AE', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:28.000000', 'refunded', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F7D1202819C5031D70A459ACBB5E2888B91BC5082E3C2A3B4937090964F63782B0364F1DFD8427C1B8EBE8583A2A6D51668750F5B1D7BA', '2026-11-01 12:05:30.000000', '2026-11-01 12:00:30.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:32.000000', '', 0, 1, '2026-11-01 12:00:34.000000', '2026-11-01 12:00:36.000000', 'sent', '', NULL, '', NULL, '', 'refunded', '2026-11-01 12:00:38.000000', NULL, '', '', NULL, '', '', '', 'e71d2cfcbe79866967c133d6b09fd452f0b896a30f6b618695cd60963bec9e6b');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE006', X'01E26F90F708DEDCD6A4DACA213586EB30848BE24CFB2E4B9C2FA95AA9F1703F958BBA81FE7E5D35DE25FF286EF842415BB05F39EDA663F2A3043F50F1E17F39A2', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE006', '42TBASE006', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7C4B4C3FAE7275DF9543D7353DA9AA7713AA081209048B72F76BD3DE977FDAE294B7A1CA74FC93BFE85D87CF031B7BF490E61B92D061D591337432E08385240FF65BB3D5AEC81BB82C0251F3E4A4635E3CC31F994D36F7E515E01C5C6BF0DDEC93E3FE6845FB4DDC8FEC713B094', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:39.000000', 'parked', 0, 1, 'carrier_silent', 'no answer', '2026-11-01 12:00:43.000000', NULL, NULL, 1, X'01E26F90F7A8B200962D28E4046146AE613AD2A0617A508F4BB420C9B0D98A90A27AF09D8BED612661FB00CFEB4176B73807C911AFD8B1BCAE7E1C', '2026-11-01 12:05:41.000000', '2026-11-01 12:00:41.000000', NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '63361afdf09b3002c119b206d3ee4497df00ed65cbfdc0a77700cf86359dec0a');
CREATE TRIGGER order_events_no_update BEFORE UPDATE ON order_events
                BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER order_events_no_delete BEFORE DELETE ON order_events
                BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER order_events_no_replace BEFORE INSERT ON order_events
            WHEN EXISTS (SELECT 1 FROM order_events WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
