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
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE000', X'01E26F90F71FF1F6D5BCF5250FE9D02C95EBA7280531150E83568DBAFD8B139994EE78B6074D29A8C257149EF9719B4D0EFDA260831FEFEFF6DA3907E56846A700', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE000', '42TBASE000', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7B71A61F2246CCC95230677B0D0F98C7718319AA7B7AAB6A334463D82470C13412E487975469BF48A070F7EF2A980088D341D72D10C68A5CDDF67AB8BD1FE0500E49D7BD85D27F86E3B7971108D4BEE956C288D914D43828C668890C52426B03E14E1C2AD01B0818E3EF451813C', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:01.000000', 'placing', 1, 0, '', '', NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '2903f7696c90a78f0dc934a1b3e2020d50f4281daa189bb4ac5ce0fcf93fc1ef');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE001', X'01E26F90F73690F0021122B6EB1F71E2C176AA81C3301BCDC6F30E9741EB887F1DE52E8629302CAE671001D5E8729D7B9F5AC68C9B835872D435CDEC17E038407A', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE001', '42TBASE001', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F70960278790CD112F9E162850921BE26CE95263618AC761EF79FA1371D5AFED5F35AF299310F29318F2307AB23D5DCB1CDFA4BD303FB06FED592509AA1E2CEA1783697DFC95BBBBF536B81A1379D95A583988373A73B1C486C2E56AC1C18F57114A954DD3662DB830EFCE15DAD8', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:02.000000', 'in_doubt', 0, 0, '', 'no answer', '2026-11-01 12:00:06.000000', NULL, NULL, 1, X'01E26F90F732B24A89BAB348DE2A3070A6BD0A32DD0BF40870FAE77374B3ADD5A5C5075764B0C2FB153C1F4CEFA9594EBF7F6B8BB747EF9A1334AB', '2026-11-01 12:05:04.000000', '2026-11-01 12:00:04.000000', NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '195247afdb551a12c5d5583ad9c061c485790712b5329eb5bb9563f08bc2f437');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE002', X'01E26F90F71684D9D14699B4AD32724364B309E06AB3D72DDA87B955DCB45A093BD3483D04844C986B0A326423A26B6E5A13AB93492F5E7A3A51F7BBFD5B64CEFA', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE002', '42TBASE002', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F713BD0473AF78CACE7AA6BAB15C74ABC14D196377AF6BB7E06E575B2F6525380D3219C43E33F9895516C05216FD9F6BD4937A06B1220507446498F641E133EC308043A4A6E829B49B940F15981D54422FC873B8FDAB747A160AF248F36B153E28FD5E40CF056E584C0277441EB3', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:07.000000', 'refunding', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F7A2ABE6DF00B3CB8B27B576607E5EE942F6572C726C5B537BCBB5AD04039E2D7EC7EEC451E1DC9EBE64E51FC4D134AE886D4C5FCFC572', '2026-11-01 12:05:09.000000', '2026-11-01 12:00:09.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:11.000000', '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', 'aee8effe6d6d570c72d95316ecb8aa8b7e9dd67e0fb547b2095b8fd62c3d8285');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE003', X'01E26F90F7C72FD3E40374CF62EF6CAC2D7183E5F5A6C718B10E4EB4EB9F06C297AF5957BD2ECE2DC7AB3D0262AE24B53D5ADE2CE5DCE8F112C93DCF44FE201581', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE003', '42TBASE003', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7E3C307786367C07F0CE179B899FAE8EAB2038431979BFD26E5C67511F72B5A7F4464116E5E02B1D72CEAF0963946567792366494DBEB348E1DCA6B513A4B4D8F8151A78B8E378474A20EA6FC46C0CAD1CF6B3995CE154013131D1627A2F72E5778DEDBEB117A90CFA69565F13D', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:12.000000', 'refunding', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F7B6D6FE2981B1CF2369C3E38C571810ECB6DAE8068EF27D602578F13CE1DDEF8CF99043A08380A0FE16855FB7125DFF643BE654162A1E', '2026-11-01 12:05:14.000000', '2026-11-01 12:00:14.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:16.000000', '', 0, 1, '2026-11-01 12:00:18.000000', '2026-11-01 12:00:20.000000', 'sent', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '77788dce6375e8d6379f8d56d41c01d1115f9e783c052d36725ff84fc48b7e90');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE004', X'01E26F90F707814C41C316EEA08D62EB9B8AA9A10EED45D36B00709B08D2B81836884EB1ED05E9378C5442180F14CB0142664F69F683E4A000EEC33E100FF2E633', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE004', '42TBASE004', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7DA8733FEE0CF6A66464C92416149BDB8910C474791DD2B31A878FDDD286EFA022D4D0C849FB1B45D048058FB098569CFBCBD1910E14463417B736E8930CF497F9869DB7592908B5AE9B4B3C958DB9021DF0F8096C89D929B0C2B022BCB30DB991FCCAE3528BE9906FC06546465', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:21.000000', 'delivered', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F7E663E37C93D18D41066460DD1E71D6ABF0CC2E2F1E4D1923DC65D8AB5423D979E158585156B1DEF9A5CD211A436AC070D63E09AEF6AA', '2026-11-01 12:05:23.000000', '2026-11-01 12:00:23.000000', NULL, NULL, NULL, '', '', NULL, '', 'completed', '', '2026-11-01 12:00:25.000000', 'C1', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', 'delivered', '2026-11-01 12:00:27.000000', NULL, '', '', NULL, '', '', '', '59ddf5184e7bcd502d8d0094c001aca4f6b278b53f1cd846fcfb024f1546b0d3');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE005', X'01E26F90F7111200F47F3F9789D858ACD0C9E79ACDF7D4AD699938B68FAC3A706F0E68573CD5A2A7F220C3CACF898321943E5C7A360721FA039309FC6512E4CD27', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE005', '42TBASE005', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7C131E19C6DB145B35FFD5738CEA218B0927A15AE188C510A54F962BE62E7AEF3BDE73F430804C1D0A3DA922DCA0B9F6B1F7DBA145D44043007C1C7E482FC63C6FE38EF517C2545A644BE8E2055B8B10AD239983AB2F4840F12E522BB298C9B4B653C6D0ACF648B490E959616E7', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:28.000000', 'refunded', 0, 0, '', '', NULL, NULL, NULL, 1, X'01E26F90F702928D81C84DE142C21E6FF54BF2FF0452F856878B2A1E6A332F7CAEB5BA7E2EF7A9F507A6AD8C5E1C60A8FF2FC5A5C6ADFF2B77FBE0', '2026-11-01 12:05:30.000000', '2026-11-01 12:00:30.000000', NULL, NULL, NULL, '', '', NULL, '', 'rejected', 'SIM_SUSPENDED', '2026-11-01 12:00:32.000000', '', 0, 1, '2026-11-01 12:00:34.000000', '2026-11-01 12:00:36.000000', 'sent', '', NULL, '', NULL, '', 'refunded', '2026-11-01 12:00:38.000000', NULL, '', '', NULL, '', '', '', 'e71d2cfcbe79866967c133d6b09fd452f0b896a30f6b618695cd60963bec9e6b');
INSERT INTO orders (order_id, content_digest, package_id, amount_fen, currency, provider, merchant_id, out_trade_no, transaction_id, paid_at, paid_on, vehicle, vehicle_hash, iccid_hash, msisdn_hash, claimed_at, status, first_pass, needs_operator, attention, reason, in_doubt_since, reopened_at, retry_requested_at, posts, body, completion_date, last_post_at, last_post_answered_at, carrier_not_before, not_found_at, cancel_reason, resolution_note, burn_at, burn_reason, carrier_outcome, carrier_code, carrier_outcome_at, carrier_order_id, contradicted, refund_sequence, refund_at, refund_sent_at, refund_answered, refund_denied, refund_denied_at, paid_another_way, refund_confirmed_at, provider_refund_id, outcome, settled_at, restored_at, proposal, proposed_by, proposed_at, proposed_note, confirmed_by, confirmed_note, trail) VALUES ('TBASE006', X'01E26F90F750E66B00D342AB948F888FE8B283F5C82CAE380A01E7F5DBB7001435587BB08EE9DB634242B12FB6C82735BD9DAC2ACEA5C1B43F968DAAAD37C88680', 'CT-DATA-10GB-30D', 9900, 'CNY', 'wechat', '1900000109', 'TBASE006', '42TBASE006', '2023-08-21T18:33:55+08:00', '2023-08-21', X'01E26F90F7877E5669B84120BE52BA75442BBF96F450FF3A3437581FC6148DB0F1BE8564C09B8D671D80DC2A8BC03F3C3C62649DFD05BD66C47E5467A6613D733E17DB4A1E59956261E7512D5E5CEA5A92CDA547A4008ABC531D0A1EDCD3033FE72F9219B7862D01184CBBCFE773B62A1ED4', '4d2c9cfb63d6b6f76d59949f772e6bc1', '55c13100f4d46a67eaff86c9ade5fb95', 'e6dab2addf2796e008780f70d195de8d', '2026-11-01 12:00:39.000000', 'parked', 0, 1, 'carrier_silent', 'no answer', '2026-11-01 12:00:43.000000', NULL, NULL, 1, X'01E26F90F7AE3A3BC519BCDF276F764FE4238D3591DFB9BE81B3E32E0AC4B3F5DA99592BFEE299FB554ED35F54B0862FB26594CE0D302FCFBD5DEE', '2026-11-01 12:05:41.000000', '2026-11-01 12:00:41.000000', NULL, NULL, NULL, '', '', NULL, '', NULL, '', NULL, '', 0, 0, NULL, NULL, '', '', NULL, '', NULL, '', NULL, NULL, NULL, '', '', NULL, '', '', '', '63361afdf09b3002c119b206d3ee4497df00ed65cbfdc0a77700cf86359dec0a');
CREATE TRIGGER order_events_no_update BEFORE UPDATE ON order_events
                BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER order_events_no_delete BEFORE DELETE ON order_events
                BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER order_events_no_replace BEFORE INSERT ON order_events
            WHEN EXISTS (SELECT 1 FROM order_events WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
