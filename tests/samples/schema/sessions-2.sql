BEGIN TRANSACTION;
CREATE TABLE agent_pause (
	agent VARCHAR NOT NULL, 
	until FLOAT NOT NULL, 
	why VARCHAR NOT NULL, 
	since FLOAT NOT NULL, 
	PRIMARY KEY (agent)
);
INSERT INTO "agent_pause" VALUES('reviewer',1763687300.0,'Not logged in · Please run /login',1763686400.0);
CREATE TABLE lease (
	name VARCHAR NOT NULL, 
	owner VARCHAR NOT NULL, 
	fence INTEGER NOT NULL, 
	until FLOAT NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE run (
	id INTEGER NOT NULL, 
	turn_id INTEGER NOT NULL, 
	session_id INTEGER NOT NULL, 
	ref VARCHAR NOT NULL, 
	agent VARCHAR NOT NULL, 
	what VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	cost_usd FLOAT NOT NULL, 
	input INTEGER NOT NULL, 
	output INTEGER NOT NULL, 
	cache_read INTEGER NOT NULL, 
	cache_write INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(turn_id) REFERENCES turn (id), 
	FOREIGN KEY(session_id) REFERENCES session (id)
);
INSERT INTO "run" VALUES(1,1,1,'forge|12|7','reviewer','turn','done',1763600000.0,0.00018,6,12,0,0);
INSERT INTO "run" VALUES(2,2,1,'forge|12|7','reviewer','turn','done',1763603600.0,1.89999999999999983355e-04,6,13,0,0);
INSERT INTO "run" VALUES(3,3,2,'forge|12|8','tester','turn','done',1763603600.0,0.00018,6,12,0,0);
INSERT INTO "run" VALUES(4,4,3,'forge|12|9','reviewer','turn','refused',1763686400.0,0.0,0,0,0,0);
INSERT INTO "run" VALUES(5,5,2,'forge|12|8','tester','turn','failed',1763686400.0,0.0,0,0,0,0);
INSERT INTO "run" VALUES(6,6,4,'forge|12|10','reviewer','turn','limited',1763686400.0,0.0,5,1,0,0);
CREATE TABLE schema_version (
	component VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (component)
);
INSERT INTO "schema_version" VALUES('sessions',2);
CREATE TABLE session (
	id INTEGER NOT NULL, 
	ref VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	agent VARCHAR NOT NULL, 
	identity VARCHAR NOT NULL, 
	claude_session VARCHAR NOT NULL, 
	backend VARCHAR NOT NULL, 
	cwd VARCHAR NOT NULL, 
	turns INTEGER NOT NULL, 
	agent_turns INTEGER NOT NULL, 
	cost_usd FLOAT NOT NULL, 
	input INTEGER NOT NULL, 
	output INTEGER NOT NULL, 
	cache_read INTEGER NOT NULL, 
	cache_write INTEGER NOT NULL, 
	claude_total FLOAT NOT NULL, 
	context_tokens INTEGER NOT NULL, 
	transcript_bytes INTEGER NOT NULL, 
	note VARCHAR NOT NULL, 
	created_at FLOAT NOT NULL, 
	used_at FLOAT NOT NULL, 
	closed_at FLOAT, 
	closed_why VARCHAR NOT NULL, 
	removed_at FLOAT, conversation_turns INTEGER DEFAULT '0' NOT NULL, conversation_at FLOAT DEFAULT '0' NOT NULL, begun_why VARCHAR DEFAULT '' NOT NULL, summary TEXT DEFAULT '' NOT NULL, summary_turn INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (identity)
);
INSERT INTO "session" VALUES(1,'forge|12|7','forge.example.com/acme/api#7','reviewer','reviewer-yl9mr','639a6a77-6e74-4e09-9934-219a72279ca5','process','work',2,2,0.00037,12,25,0,0,0.00037,19,1535,'',1763600000.0,1763603600.0,NULL,'',NULL,2,1763600000.0,'','',0);
INSERT INTO "session" VALUES(2,'forge|12|8','key of forge|12|8','tester','tester-jsq64','fbd62d92-8cad-4669-a797-bb7e096e5012','process','work',1,1,0.00018,6,12,0,0,0.00018,18,1121,'',1763603600.0,1763686400.0,NULL,'',NULL,1,1763603600.0,'','Asked for: a cache of one size.',3);
INSERT INTO "session" VALUES(3,'forge|12|9','key of forge|12|9','reviewer','reviewer-0f4gu','5ff34afe-8731-4ef3-af47-e710b0e22380','process','work',0,1,0.0,0,0,0,0,0.0,0,358,'',1763686400.0,1763686400.0,NULL,'',NULL,0,1763686400.0,'','',0);
INSERT INTO "session" VALUES(4,'forge|12|10','key of forge|12|10','reviewer','reviewer-qgvtb','a9a9965b-bd8e-4944-bced-e9ceecb06fba','process','work',1,1,0.0,5,1,0,0,0.0,0,360,'',1763686400.0,1763686400.0,1763686420.0,'merged',NULL,1,1763686400.0,'','',0);
CREATE TABLE turn (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	session_id INTEGER, 
	ref VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	agent VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	mode VARCHAR, 
	by_hand BOOLEAN NOT NULL, 
	why VARCHAR NOT NULL, 
	told JSON NOT NULL, 
	claude_session VARCHAR NOT NULL, 
	attempts INTEGER NOT NULL, 
	launches INTEGER NOT NULL, 
	renewed BOOLEAN NOT NULL, 
	not_before FLOAT NOT NULL, 
	created_at FLOAT NOT NULL, 
	started_at FLOAT, 
	deadline FLOAT, 
	ended_at FLOAT, 
	exit INTEGER, 
	kind VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	answer TEXT NOT NULL, 
	cost_usd FLOAT NOT NULL, 
	input INTEGER NOT NULL, 
	output INTEGER NOT NULL, 
	cache_read INTEGER NOT NULL, 
	cache_write INTEGER NOT NULL, 
	posted JSON NOT NULL, 
	stop_asked VARCHAR NOT NULL, 
	owner VARCHAR NOT NULL, 
	fence INTEGER NOT NULL, 
	lease_until FLOAT NOT NULL, handovers INTEGER DEFAULT '0' NOT NULL, handing_over BOOLEAN DEFAULT 0 NOT NULL, surprise VARCHAR DEFAULT '' NOT NULL, 
	FOREIGN KEY(session_id) REFERENCES session (id)
);
INSERT INTO "turn" VALUES(1,1,'forge|12|7','forge.example.com/acme/api#7','reviewer','done','fresh',0,'because of opened','["opened"]','639a6a77-6e74-4e09-9934-219a72279ca5',1,1,0,0.0,1763600000.0,1763600000.0,1763600120.0,1763600000.0,0,'done','','I have read 3 words. This is our first message.',0.00018,6,12,0,0,'["comment 91"]','','',1,0.0,0,0,'');
INSERT INTO "turn" VALUES(2,1,'forge|12|7','forge.example.com/acme/api#7','reviewer','done','resume',0,'because of pushed','["pushed"]','639a6a77-6e74-4e09-9934-219a72279ca5',1,1,0,0.0,1763603600.0,1763603600.0,1763603720.0,1763603600.0,0,'done','','I have read 3 words. I remember 1 earlier message.',1.89999999999999983355e-04,6,13,0,0,'[]','','',1,0.0,0,0,'');
INSERT INTO "turn" VALUES(3,2,'forge|12|8','key of forge|12|8','tester','done','fresh',0,'because of opened','["opened"]','fbd62d92-8cad-4669-a797-bb7e096e5012',1,1,0,0.0,1763603600.0,1763603600.0,1763603720.0,1763603600.0,0,'done','','I have read 3 words. This is our first message.',0.00018,6,12,0,0,'[]','','',1,0.0,0,0,'');
INSERT INTO "turn" VALUES(4,3,'forge|12|9','key of forge|12|9','reviewer','waiting','fresh',0,'because of mentioned','["mentioned"]','5ff34afe-8731-4ef3-af47-e710b0e22380',1,1,0,1763687300.0,1763686400.0,1763686400.0,1763686520.0,1763686400.0,1,'refused','Not logged in · Please run /login','',0.0,0,0,0,0,'[]','','',1,0.0,0,0,'');
INSERT INTO "turn" VALUES(5,2,'forge|12|8','key of forge|12|8','tester','waiting','resume',0,'because of pushed-2','["pushed-2"]','fbd62d92-8cad-4669-a797-bb7e096e5012',1,1,0,1763686430.0,1763686400.0,1763686400.0,1763686520.0,1763686400.0,1,'failed','exit code 1: the scripted agent was told to fail','',0.0,0,0,0,0,'[]','','',1,0.0,0,0,'');
INSERT INTO "turn" VALUES(6,4,'forge|12|10','key of forge|12|10','reviewer','failed','fresh',0,'because of opened-10','["opened-10"]','a9a9965b-bd8e-4944-bced-e9ceecb06fba',1,1,0,0.0,1763686400.0,1763686400.0,1763686520.0,1763686400.0,1,'limited','Reached maximum budget ($0.01)','',0.0,5,1,0,0,'[]','','',1,0.0,0,0,'');
INSERT INTO "turn" VALUES(7,1,'forge|12|7','forge.example.com/acme/api#7','reviewer','running','resume',0,'because of commented','["commented"]','639a6a77-6e74-4e09-9934-219a72279ca5',1,1,0,1763686400.0,1763686400.0,1763686420.0,1763688220.0,NULL,NULL,'','','',0.0,0,0,0,0,'[]','','elsewhere:boot:0:1:1',1,1763686480.0,0,0,'');
CREATE TABLE turn_event (
	agent VARCHAR NOT NULL, 
	event_id VARCHAR NOT NULL, 
	turn_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	PRIMARY KEY (agent, event_id), 
	FOREIGN KEY(turn_id) REFERENCES turn (id)
);
INSERT INTO "turn_event" VALUES('reviewer','opened',1,1);
INSERT INTO "turn_event" VALUES('reviewer','pushed',2,1);
INSERT INTO "turn_event" VALUES('tester','opened',3,1);
INSERT INTO "turn_event" VALUES('reviewer','mentioned',4,1);
INSERT INTO "turn_event" VALUES('tester','pushed-2',5,1);
INSERT INTO "turn_event" VALUES('reviewer','opened-10',6,1);
INSERT INTO "turn_event" VALUES('reviewer','commented',7,1);
CREATE UNIQUE INDEX one_live_session ON session (ref, agent) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX one_waiting_turn ON turn (ref, agent) WHERE state = 'waiting';
CREATE UNIQUE INDEX one_running_turn ON turn (ref) WHERE state = 'running';
CREATE INDEX turns_of_session ON turn (session_id);
CREATE INDEX turns_by_state ON turn (state, not_before);
CREATE INDEX events_of_turn ON turn_event (turn_id, position);
CREATE INDEX runs_of_ref ON run (ref, at);
CREATE INDEX runs_by_time ON run (at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('turn',7);
COMMIT;
