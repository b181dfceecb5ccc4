BEGIN TRANSACTION;
CREATE TABLE decision (
	event_id VARCHAR NOT NULL, 
	agent VARCHAR NOT NULL, 
	verdict VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	turn_id INTEGER, 
	PRIMARY KEY (event_id, agent), 
	FOREIGN KEY(event_id) REFERENCES event (id)
);
INSERT INTO "decision" VALUES('gitea.example.com/1/1/opened','reviewer','wake','opened; ana can write to acme/api, as all its teams can',1);
INSERT INTO "decision" VALUES('gitea.example.com/1/1/comment/2','','ignore','own act of bot',NULL);
INSERT INTO "decision" VALUES('gitea.example.com/1/1/push/3','reviewer','wake','synchronized; ana can write to acme/api, as all its teams can',2);
INSERT INTO "decision" VALUES('gitea.example.com/1/1/comment/4','reviewer','wake','mentioned; ana can write to acme/api, as all its teams can',2);
INSERT INTO "decision" VALUES('gitea.example.com/1/1/label/5','','ignore','no agent wakes on labeled or labeled:bug',NULL);
INSERT INTO "decision" VALUES('gitea.example.com/1/2/opened','reviewer','wake','opened; ana can write to acme/api, as all its teams can',3);
INSERT INTO "decision" VALUES('gitea.example.com/2/1/opened','reviewer','wake','opened; ben can write to acme/web, as all its teams can',4);
INSERT INTO "decision" VALUES('gitea.example.com/2/1/review/1','','ignore','no agent wakes on rejected',NULL);
INSERT INTO "decision" VALUES('gitea.example.com/1/1/comment/6','','ignore','own act of bot',NULL);
INSERT INTO "decision" VALUES('gitea.example.com/1/2/comment/11','','ignore','own act of bot',NULL);
INSERT INTO "decision" VALUES('gitea.example.com/1/2/closed/12','','close','merged: its bottles are put away',NULL);
INSERT INTO "decision" VALUES('gitea.example.com/1/1/edited/14','','ignore','no agent wakes on edited',NULL);
INSERT INTO "decision" VALUES('gitea.example.com/1/1/edited/body/1/d5cf2ff6','','ignore','no agent wakes on edited',NULL);
CREATE TABLE event (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id VARCHAR NOT NULL, 
	ref VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	event VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	seen_at VARCHAR NOT NULL, 
	line BLOB NOT NULL, 
	UNIQUE (id)
);
INSERT INTO "event" VALUES(1,'gitea.example.com/1/1/opened','gitea.example.com|1|1','gitea.example.com/acme/api#1','pull_request','opened','2026-11-20T07:00:00Z','2026-11-20T07:01:03Z',CAST('{"id":"gitea.example.com/1/1/opened","event":"pull_request","action":"opened","forge":"gitea.example.com","repo":"acme/api","repo_id":1,"number":1,"at":"2026-11-20T07:00:00Z","seen_at":"2026-11-20T07:01:03Z","actor":{"id":4,"login":"ana"},"subject":{},"pull":{"title":"Add a cache","state":"open","draft":false,"merged":false,"head_sha":"8969e2f49c66aa35de85aec1c152406e1667f163","head_ref":"feature-1","base_ref":"main","html_url":"http://gitea.example.com/acme/api/pulls/1"}}' AS BLOB));
INSERT INTO "event" VALUES(2,'gitea.example.com/1/1/comment/2','gitea.example.com|1|1','gitea.example.com/acme/api#1','pull_request_comment','created','2026-11-20T07:01:00Z','2026-11-20T07:02:05Z',CAST('{"id":"gitea.example.com/1/1/comment/2","event":"pull_request_comment","action":"created","forge":"gitea.example.com","repo":"acme/api","repo_id":1,"number":1,"at":"2026-11-20T07:01:00Z","seen_at":"2026-11-20T07:02:05Z","actor":{"id":3,"login":"bot"},"subject":{"comment_id":2,"body":"I have read 266 words. This is our first message.\n\n<sub>bottlepost · turn 1 · a fresh session</sub>\n\n<!-- bottlepost turn=1 part=1 -->"},"pull":{"title":"Add a cache","state":"open","draft":false,"merged":false,"head_sha":"4ff187c83cf01319d18757d626b17d4014f2101e","head_ref":"feature-1","base_ref":"main","html_url":"http://gitea.example.com/acme/api/pulls/1"}}' AS BLOB));
INSERT INTO "event" VALUES(3,'gitea.example.com/1/1/push/3','gitea.example.com|1|1','gitea.example.com/acme/api#1','pull_request_sync','synchronized','2026-11-20T07:01:00Z','2026-11-20T07:02:05Z',CAST('{"id":"gitea.example.com/1/1/push/3","event":"pull_request_sync","action":"synchronized","forge":"gitea.example.com","repo":"acme/api","repo_id":1,"number":1,"at":"2026-11-20T07:01:00Z","seen_at":"2026-11-20T07:02:05Z","actor":{"id":4,"login":"ana"},"subject":{"before":"8969e2f49c66aa35de85aec1c152406e1667f163","after":"4ff187c83cf01319d18757d626b17d4014f2101e","forced":false,"commits":["4ff187c83cf01319d18757d626b17d4014f2101e"]},"pull":{"title":"Add a cache","state":"open","draft":false,"merged":false,"head_sha":"4ff187c83cf01319d18757d626b17d4014f2101e","head_ref":"feature-1","base_ref":"main","html_url":"http://gitea.example.com/acme/api/pulls/1"}}' AS BLOB));
INSERT INTO "event" VALUES(4,'gitea.example.com/1/1/comment/4','gitea.example.com|1|1','gitea.example.com/acme/api#1','pull_request_comment','created','2026-11-20T07:01:00Z','2026-11-20T07:02:05Z',CAST('{"id":"gitea.example.com/1/1/comment/4","event":"pull_request_comment","action":"created","forge":"gitea.example.com","repo":"acme/api","repo_id":1,"number":1,"at":"2026-11-20T07:01:00Z","seen_at":"2026-11-20T07:02:05Z","actor":{"id":4,"login":"ana"},"subject":{"comment_id":4,"body":"@bot why?"},"pull":{"title":"Add a cache","state":"open","draft":false,"merged":false,"head_sha":"4ff187c83cf01319d18757d626b17d4014f2101e","head_ref":"feature-1","base_ref":"main","html_url":"http://gitea.example.com/acme/api/pulls/1"}}' AS BLOB));
INSERT INTO "event" VALUES(5,'gitea.example.com/1/1/label/5','gitea.example.com|1|1','gitea.example.com/acme/api#1','pull_request_label','label_updated','2026-11-20T07:01:00Z','2026-11-20T07:02:05Z',CAST('{"id":"gitea.example.com/1/1/label/5","event":"pull_request_label","action":"label_updated","forge":"gitea.example.com","repo":"acme/api","repo_id":1,"number":1,"at":"2026-11-20T07:01:00Z","seen_at":"2026-11-20T07:02:05Z","actor":{"id":5,"login":"ben"},"subject":{"added":["bug"],"removed":[],"labels":["bug"]},"pull":{"title":"Add a cache","state":"open","draft":false,"merged":false,"head_sha":"4ff187c83cf01319d18757d626b17d4014f2101e","head_ref":"feature-1","base_ref":"main","html_url":"http://gitea.example.com/acme/api/pulls/1"}}' AS BLOB));
INSERT INTO "event" VALUES(6,'gitea.example.com/1/2/opened','gitea.example.com|1|2','gitea.example.com/acme/api#2','pull_request','opened','2026-11-20T07:02:00Z','2026-11-20T07:03:07Z',CAST('{"id":"gitea.example.com/1/2/opened","event":"pull_request","action":"opened","forge":"gitea.example.com","repo":"acme/api","repo_id":1,"number":2,"at":"2026-11-20T07:02:00Z","seen_at":"2026-11-20T07:03:07Z","actor":{"id":4,"login":"ana"},"subject":{},"pull":{"title":"To be merged","state":"open","draft":false,"merged":false,"head_sha":"1951b6afda62406d466effb48a1ad1e032ce4a4e","head_ref":"feature-2","base_ref":"main","html_url":"http://gitea.example.com/acme/api/pulls/2"}}' AS BLOB));
INSERT INTO "event" VALUES(7,'gitea.example.com/2/1/opened','gitea.example.com|2|1','gitea.example.com/acme/web#1','pull_request','opened','2026-11-20T07:02:00Z','2026-11-20T07:03:07Z',CAST('{"id":"gitea.example.com/2/1/opened","event":"pull_request","action":"opened","forge":"gitea.example.com","repo":"acme/web","repo_id":2,"number":1,"at":"2026-11-20T07:02:00Z","seen_at":"2026-11-20T07:03:07Z","actor":{"id":5,"login":"ben"},"subject":{},"pull":{"title":"Zürich — naïve","state":"open","draft":false,"merged":false,"head_sha":"b6f4c40d94a4fde6e9b2ebea2e15290fa42f4fbe","head_ref":"feature-1","base_ref":"main","html_url":"http://gitea.example.com/acme/web/pulls/1"}}' AS BLOB));
INSERT INTO "event" VALUES(8,'gitea.example.com/2/1/review/1','gitea.example.com|2|1','gitea.example.com/acme/web#1','pull_request_review_rejected','reviewed','2026-11-20T07:02:00Z','2026-11-20T07:03:07Z',CAST('{"id":"gitea.example.com/2/1/review/1","event":"pull_request_review_rejected","action":"reviewed","forge":"gitea.example.com","repo":"acme/web","repo_id":2,"number":1,"at":"2026-11-20T07:02:00Z","seen_at":"2026-11-20T07:03:07Z","actor":{"id":6,"login":"Eva"},"subject":{"review_id":1,"body":"No.","commit_id":"b6f4c40d94a4fde6e9b2ebea2e15290fa42f4fbe","comments":[{"comment_id":8,"path":"README.md","line":1,"body":"Why?","diff_hunk":""}]},"pull":{"title":"Zürich — naïve","state":"open","draft":false,"merged":false,"head_sha":"b6f4c40d94a4fde6e9b2ebea2e15290fa42f4fbe","head_ref":"feature-1","base_ref":"main","html_url":"http://gitea.example.com/acme/web/pulls/1"}}' AS BLOB));
INSERT INTO "event" VALUES(9,'gitea.example.com/1/1/comment/6','gitea.example.com|1|1','gitea.example.com/acme/api#1','pull_request_comment','created','2026-11-20T07:02:00Z','2026-11-20T07:03:07Z',CAST('{"id":"gitea.example.com/1/1/comment/6","event":"pull_request_comment","action":"created","forge":"gitea.example.com","repo":"acme/api","repo_id":1,"number":1,"at":"2026-11-20T07:02:00Z","seen_at":"2026-11-20T07:03:07Z","actor":{"id":3,"login":"bot"},"subject":{"comment_id":6,"body":"I have read 271 words. I remember 1 earlier message.\n\n<sub>bottlepost · turn 2 · resumed session</sub>\n\n<!-- bottlepost turn=2 part=1 -->"},"pull":{"title":"Add a cache","state":"open","draft":false,"merged":false,"head_sha":"4ff187c83cf01319d18757d626b17d4014f2101e","head_ref":"feature-1","base_ref":"main","html_url":"http://gitea.example.com/acme/api/pulls/1"}}' AS BLOB));
INSERT INTO "event" VALUES(10,'gitea.example.com/1/2/comment/11','gitea.example.com|1|2','gitea.example.com/acme/api#2','pull_request_comment','created','2026-11-20T07:03:00Z','2026-11-20T07:04:10Z',CAST('{"id":"gitea.example.com/1/2/comment/11","event":"pull_request_comment","action":"created","forge":"gitea.example.com","repo":"acme/api","repo_id":1,"number":2,"at":"2026-11-20T07:03:00Z","seen_at":"2026-11-20T07:04:10Z","actor":{"id":3,"login":"bot"},"subject":{"comment_id":11,"body":"I have read 262 words. This is our first message.\n\n<sub>bottlepost · turn 3 · a fresh session</sub>\n\n<!-- bottlepost turn=3 part=1 -->"},"pull":{"title":"To be merged","state":"closed","draft":false,"merged":true,"head_sha":"1951b6afda62406d466effb48a1ad1e032ce4a4e","head_ref":"feature-2","base_ref":"main","html_url":"http://gitea.example.com/acme/api/pulls/2"}}' AS BLOB));
INSERT INTO "event" VALUES(11,'gitea.example.com/1/2/closed/12','gitea.example.com|1|2','gitea.example.com/acme/api#2','pull_request','closed','2026-11-20T07:03:00Z','2026-11-20T07:04:10Z',CAST('{"id":"gitea.example.com/1/2/closed/12","event":"pull_request","action":"closed","forge":"gitea.example.com","repo":"acme/api","repo_id":1,"number":2,"at":"2026-11-20T07:03:00Z","seen_at":"2026-11-20T07:04:10Z","actor":{"id":5,"login":"ben"},"subject":{},"pull":{"title":"To be merged","state":"closed","draft":false,"merged":true,"head_sha":"1951b6afda62406d466effb48a1ad1e032ce4a4e","head_ref":"feature-2","base_ref":"main","html_url":"http://gitea.example.com/acme/api/pulls/2"}}' AS BLOB));
INSERT INTO "event" VALUES(12,'gitea.example.com/1/1/edited/14','gitea.example.com|1|1','gitea.example.com/acme/api#1','pull_request','edited','2026-11-20T07:03:00Z','2026-11-20T07:04:10Z',CAST('{"id":"gitea.example.com/1/1/edited/14","event":"pull_request","action":"edited","forge":"gitea.example.com","repo":"acme/api","repo_id":1,"number":1,"at":"2026-11-20T07:03:00Z","seen_at":"2026-11-20T07:04:10Z","actor":{"id":4,"login":"ana"},"changes":{"title":{"from":"Add a cache"}},"subject":{},"pull":{"title":"Add a small cache","state":"open","draft":false,"merged":false,"head_sha":"4ff187c83cf01319d18757d626b17d4014f2101e","head_ref":"feature-1","base_ref":"main","html_url":"http://gitea.example.com/acme/api/pulls/1"}}' AS BLOB));
INSERT INTO "event" VALUES(13,'gitea.example.com/1/1/edited/body/1/d5cf2ff6','gitea.example.com|1|1','gitea.example.com/acme/api#1','pull_request','edited','2026-11-20T07:03:00Z','2026-11-20T07:04:10Z',CAST('{"id":"gitea.example.com/1/1/edited/body/1/d5cf2ff6","event":"pull_request","action":"edited","forge":"gitea.example.com","repo":"acme/api","repo_id":1,"number":1,"at":"2026-11-20T07:03:00Z","seen_at":"2026-11-20T07:04:10Z","actor":null,"changes":{"body":{"from":"It is slow."}},"subject":{},"pull":{"title":"Add a small cache","state":"open","draft":false,"merged":false,"head_sha":"4ff187c83cf01319d18757d626b17d4014f2101e","head_ref":"feature-1","base_ref":"main","html_url":"http://gitea.example.com/acme/api/pulls/1"}}' AS BLOB));
CREATE TABLE forge (
	forge VARCHAR NOT NULL, 
	cursor VARCHAR, 
	bot_id INTEGER, 
	bot_login VARCHAR, 
	token_mark VARCHAR NOT NULL, 
	patterns_mark VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	page INTEGER NOT NULL, 
	paged BOOLEAN, 
	asked_at FLOAT NOT NULL, 
	success_at FLOAT, 
	error VARCHAR NOT NULL, 
	error_at FLOAT, 
	PRIMARY KEY (forge)
);
INSERT INTO "forge" VALUES('gitea.example.com','2026-11-20T07:03:00Z',3,'bot','1704d6cd10f9a888','c32202984b478fbf','1.25.4',50,0,1.79515800128838849064e+09,1.79515825068869256967e+09,'',NULL);
CREATE TABLE lease (
	name VARCHAR NOT NULL, 
	owner VARCHAR NOT NULL, 
	fence INTEGER NOT NULL, 
	until FLOAT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "lease" VALUES('poll gitea.example.com','',5,0.0);
CREATE TABLE outbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	turn_id INTEGER NOT NULL, 
	part VARCHAR NOT NULL, 
	forge VARCHAR NOT NULL, 
	ref VARCHAR NOT NULL, 
	repo VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	state VARCHAR NOT NULL, 
	attempts INTEGER NOT NULL, 
	not_before FLOAT NOT NULL, 
	owner VARCHAR NOT NULL, 
	lease_until FLOAT NOT NULL, 
	comment_id INTEGER, 
	error VARCHAR NOT NULL, 
	created_at FLOAT NOT NULL, 
	UNIQUE (turn_id, part)
);
INSERT INTO "outbox" VALUES(1,1,'1','gitea.example.com','gitea.example.com|1|1','acme/api',1,'I have read 266 words. This is our first message.

<sub>bottlepost · turn 1 · a fresh session</sub>

<!-- bottlepost turn=1 part=1 -->','sent',1,1.79515806400434732442e+09,'',0.0,2,'',1.79515806400434732442e+09);
INSERT INTO "outbox" VALUES(2,2,'1','gitea.example.com','gitea.example.com|1|1','acme/api',1,'I have read 271 words. I remember 1 earlier message.

<sub>bottlepost · turn 2 · resumed session</sub>

<!-- bottlepost turn=2 part=1 -->','sent',1,1.79515812616748356815e+09,'',0.0,6,'',1.79515812616748356815e+09);
INSERT INTO "outbox" VALUES(3,4,'1','gitea.example.com','gitea.example.com|2|1','acme/web',1,'I have read 262 words. This is our first message.

<sub>bottlepost · turn 4 · a fresh session</sub>

<!-- bottlepost turn=4 part=1 -->','waiting',2,1.79515828090814924238e+09,'',0.0,NULL,'the forge failed: 502 (POST /repos/acme/web/issues/1/comments); see the forge''s log, or wait',1.795158188527662754e+09);
INSERT INTO "outbox" VALUES(4,3,'1','gitea.example.com','gitea.example.com|1|2','acme/api',2,'I have read 262 words. This is our first message.

<sub>bottlepost · turn 3 · a fresh session</sub>

<!-- bottlepost turn=3 part=1 -->','sent',1,1.79515818859989905354e+09,'',0.0,11,'',1.79515818859989905354e+09);
CREATE TABLE permission (
	forge VARCHAR NOT NULL, 
	repo_id INTEGER NOT NULL, 
	user_id INTEGER NOT NULL, 
	asked VARCHAR NOT NULL, 
	allowed BOOLEAN, 
	why VARCHAR NOT NULL, 
	asked_at FLOAT NOT NULL, 
	PRIMARY KEY (forge, repo_id, user_id, asked)
);
INSERT INTO "permission" VALUES('gitea.example.com',1,4,'writers',1,'ana can write to acme/api, as all its teams can',1.79515806318677544591e+09);
INSERT INTO "permission" VALUES('gitea.example.com',2,5,'writers',1,'ben can write to acme/web, as all its teams can',1.79515818798356747631e+09);
CREATE TABLE pull (
	forge VARCHAR NOT NULL, 
	repo_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	repo VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	updated_at VARCHAR NOT NULL, 
	due_at VARCHAR, 
	errors INTEGER NOT NULL, 
	error VARCHAR NOT NULL, 
	boundary VARCHAR NOT NULL, 
	known BLOB, 
	PRIMARY KEY (forge, repo_id, number)
);
INSERT INTO "pull" VALUES('gitea.example.com',1,1,'acme/api','open','2026-11-20T07:03:00Z','2026-11-20T07:08:00Z',0,'','2026-11-19T07:00:01Z',CAST('{"row":{"issue_id":1,"repo_id":1,"repo":"acme/api","number":1,"title":"Add a small cache","body":"It is slow; see #2.","state":"open","merged":false,"draft":false,"author":{"id":4,"login":"ana"},"labels":[{"id":1,"name":"bug"}],"milestone":null,"assignees":[],"comments":3,"created_at":"2026-11-20T07:00:00Z","updated_at":"2026-11-20T07:03:00Z","closed_at":null,"html_url":"http://gitea.example.com/acme/api/pulls/1"},"boundary":"2026-11-19T07:00:01Z","shallow":false,"heads":{"head_sha":"4ff187c83cf01319d18757d626b17d4014f2101e","head_ref":"feature-1","base_ref":"main","fork":false,"state":"open","merged":false,"draft":false},"head":"4ff187c83cf01319d18757d626b17d4014f2101e","seen":[1,2,3,4,5,6,14],"comments":{"2":"I have read 266 words. This is our first message.\n\n<sub>bottlepost · turn 1 · a fresh session</sub>\n\n<!-- bottlepost turn=1 part=1 -->","4":"@bot why?","6":"I have read 271 words. I remember 1 earlier message.\n\n<sub>bottlepost · turn 2 · resumed session</sub>\n\n<!-- bottlepost turn=2 part=1 -->"},"reviews":{},"inline":{},"body_edits":1,"stray_head":null,"stray_is_old":false,"gone":false,"read_to":"2026-11-20T07:01:00Z"}' AS BLOB));
INSERT INTO "pull" VALUES('gitea.example.com',1,2,'acme/api','closed','2026-11-20T07:03:00Z','2026-11-20T07:08:00Z',0,'','2026-11-19T07:00:01Z',CAST('{"row":{"issue_id":3,"repo_id":1,"repo":"acme/api","number":2,"title":"To be merged","body":"","state":"closed","merged":true,"draft":false,"author":{"id":4,"login":"ana"},"labels":[],"milestone":null,"assignees":[],"comments":1,"created_at":"2026-11-20T07:02:00Z","updated_at":"2026-11-20T07:03:00Z","closed_at":"2026-11-20T07:03:00Z","html_url":"http://gitea.example.com/acme/api/pulls/2"},"boundary":"2026-11-19T07:00:01Z","shallow":false,"heads":{"head_sha":"1951b6afda62406d466effb48a1ad1e032ce4a4e","head_ref":"feature-2","base_ref":"main","fork":false,"state":"closed","merged":true,"draft":false},"head":"1951b6afda62406d466effb48a1ad1e032ce4a4e","seen":[10,11,12,13],"comments":{"11":"I have read 262 words. This is our first message.\n\n<sub>bottlepost · turn 3 · a fresh session</sub>\n\n<!-- bottlepost turn=3 part=1 -->"},"reviews":{},"inline":{},"body_edits":0,"stray_head":null,"stray_is_old":false,"gone":false,"read_to":"2026-11-20T07:03:00Z"}' AS BLOB));
INSERT INTO "pull" VALUES('gitea.example.com',2,1,'acme/web','open','2026-11-20T07:02:00Z','2026-11-20T07:07:00Z',0,'','2026-11-19T07:00:01Z',CAST('{"row":{"issue_id":2,"repo_id":2,"repo":"acme/web","number":1,"title":"Zürich — naïve","body":"","state":"open","merged":false,"draft":false,"author":{"id":5,"login":"ben"},"labels":[],"milestone":null,"assignees":[],"comments":0,"created_at":"2026-11-20T07:02:00Z","updated_at":"2026-11-20T07:02:00Z","closed_at":null,"html_url":"http://gitea.example.com/acme/web/pulls/1"},"boundary":"2026-11-19T07:00:01Z","shallow":false,"heads":{"head_sha":"b6f4c40d94a4fde6e9b2ebea2e15290fa42f4fbe","head_ref":"feature-1","base_ref":"main","fork":false,"state":"open","merged":false,"draft":false},"head":"b6f4c40d94a4fde6e9b2ebea2e15290fa42f4fbe","seen":[9,7],"comments":{"9":"No."},"reviews":{"1":{"state":"REQUEST_CHANGES","dismissed":false,"comments_count":1,"updated_at":"2026-11-20T07:02:00Z"}},"inline":{"8":"Why?"},"body_edits":0,"stray_head":null,"stray_is_old":false,"gone":false,"read_to":"2026-11-20T07:03:00Z"}' AS BLOB));
CREATE TABLE repository (
	forge VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	repo_id INTEGER, 
	error VARCHAR NOT NULL, 
	checked_at FLOAT NOT NULL, 
	PRIMARY KEY (forge, name)
);
INSERT INTO "repository" VALUES('gitea.example.com','acme/*',NULL,'',1.79515800128838849064e+09);
INSERT INTO "repository" VALUES('gitea.example.com','acme/api',1,'',1.79515800128838849064e+09);
INSERT INTO "repository" VALUES('gitea.example.com','acme/web',2,'',1.79515800128838849064e+09);
CREATE TABLE schema_version (
	component VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (component)
);
INSERT INTO "schema_version" VALUES('sessions',1);
INSERT INTO "schema_version" VALUES('poller',1);
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
	paused_until FLOAT, 
	paused_why VARCHAR NOT NULL, 
	created_at FLOAT NOT NULL, 
	used_at FLOAT NOT NULL, 
	closed_at FLOAT, 
	closed_why VARCHAR NOT NULL, 
	removed_at FLOAT, 
	PRIMARY KEY (id), 
	UNIQUE (identity)
);
INSERT INTO "session" VALUES(1,'gitea.example.com|1|1','gitea.example.com/acme/api#1','reviewer','reviewer-to7va','f7addeb8-9ce1-495a-92bc-27c7f456740a','process','work',2,2,8.44000000000000132061e-03,817,27,0,0,8.44000000000000132061e-03,424,8265,'',NULL,'',1.79515806346153807644e+09,1.79515812615536904332e+09,NULL,'',NULL);
INSERT INTO "session" VALUES(2,'gitea.example.com|1|2','gitea.example.com/acme/api#2','reviewer','reviewer-d8cfr','4c6af910-27a9-4e81-aba7-cff59477f11e','process','work',1,1,4.03000000000000059563e-03,390,13,0,0,4.03000000000000059563e-03,403,3991,'',NULL,'',1.79515818816921615599e+09,1.79515818859069108959e+09,1.79515825068869256967e+09,'merged',NULL);
INSERT INTO "session" VALUES(3,'gitea.example.com|2|1','gitea.example.com/acme/web#1','reviewer','reviewer-hfhbh','a82d0841-a11c-4dcf-bfff-c26fc137a9d0','process','work',1,1,0.00404,391,13,0,0,0.00404,404,4046,'',NULL,'',1.79515818820555138586e+09,1.79515818850939178463e+09,NULL,'',NULL);
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
	lease_until FLOAT NOT NULL, 
	FOREIGN KEY(session_id) REFERENCES session (id)
);
INSERT INTO "turn" VALUES(1,1,'gitea.example.com|1|1','gitea.example.com/acme/api#1','reviewer','done','fresh',0,'opened','["gitea.example.com/1/1/opened"]','f7addeb8-9ce1-495a-92bc-27c7f456740a',1,1,0,0.0,1.79515806318677544591e+09,1.79515806379750227929e+09,1.79515986379750227923e+09,1.79515806398686861991e+09,0,'done','','I have read 266 words. This is our first message.',4.20000000000000060784e-03,407,13,0,0,'["comment 2"]','','',1,0.0);
INSERT INTO "turn" VALUES(2,1,'gitea.example.com|1|1','gitea.example.com/acme/api#1','reviewer','done','resume',0,'synchronized','["gitea.example.com/1/1/push/3", "gitea.example.com/1/1/comment/4"]','f7addeb8-9ce1-495a-92bc-27c7f456740a',1,1,0,0.0,1.79515812569667625427e+09,1.79515812596356821059e+09,1.79515992596356821061e+09,1.79515812615536904332e+09,0,'done','','I have read 271 words. I remember 1 earlier message.',4.24000000000000071276e-03,410,14,0,0,'["comment 6"]','','',1,0.0);
INSERT INTO "turn" VALUES(3,2,'gitea.example.com|1|2','gitea.example.com/acme/api#2','reviewer','done','fresh',0,'opened','["gitea.example.com/1/2/opened"]','4c6af910-27a9-4e81-aba7-cff59477f11e',1,1,0,0.0,1.79515818798356747631e+09,1.7951581883327302932e+09,1.79515998833273029327e+09,1.79515818859069108959e+09,0,'done','','I have read 262 words. This is our first message.',4.03000000000000059563e-03,390,13,0,0,'["comment 11"]','','',1,0.0);
INSERT INTO "turn" VALUES(4,3,'gitea.example.com|2|1','gitea.example.com/acme/web#1','reviewer','done','fresh',0,'opened','["gitea.example.com/2/1/opened"]','a82d0841-a11c-4dcf-bfff-c26fc137a9d0',1,1,0,0.0,1.79515818798356747631e+09,1.79515818832969164847e+09,1.7951599883296916485e+09,1.79515818850939178463e+09,0,'done','','I have read 262 words. This is our first message.',0.00404,391,13,0,0,'[]','','',1,0.0);
CREATE TABLE turn_event (
	agent VARCHAR NOT NULL, 
	event_id VARCHAR NOT NULL, 
	turn_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	PRIMARY KEY (agent, event_id), 
	FOREIGN KEY(turn_id) REFERENCES turn (id)
);
INSERT INTO "turn_event" VALUES('reviewer','gitea.example.com/1/1/opened',1,1);
INSERT INTO "turn_event" VALUES('reviewer','gitea.example.com/1/1/push/3',2,1);
INSERT INTO "turn_event" VALUES('reviewer','gitea.example.com/1/1/comment/4',2,2);
INSERT INTO "turn_event" VALUES('reviewer','gitea.example.com/1/2/opened',3,1);
INSERT INTO "turn_event" VALUES('reviewer','gitea.example.com/2/1/opened',4,1);
CREATE TABLE watch (
	forge VARCHAR NOT NULL, 
	pattern VARCHAR NOT NULL, 
	since VARCHAR NOT NULL, 
	PRIMARY KEY (forge, pattern)
);
INSERT INTO "watch" VALUES('gitea.example.com','acme/api','2026-11-19T07:00:01Z');
INSERT INTO "watch" VALUES('gitea.example.com','acme/*','2026-11-19T07:00:01Z');
CREATE UNIQUE INDEX one_live_session ON session (ref, agent) WHERE closed_at IS NULL;
CREATE INDEX turns_of_session ON turn (session_id);
CREATE INDEX turns_by_state ON turn (state, not_before);
CREATE UNIQUE INDEX one_running_turn ON turn (ref) WHERE state = 'running';
CREATE UNIQUE INDEX one_waiting_turn ON turn (ref, agent) WHERE state = 'waiting';
CREATE INDEX events_of_turn ON turn_event (turn_id, position);
CREATE INDEX pulls_due ON pull (forge, due_at);
CREATE INDEX events_by_time ON event (seen_at);
CREATE INDEX events_by_key ON event ("key", seq);
CREATE INDEX events_of_pull ON event (ref, seq);
CREATE INDEX outbox_due ON outbox (state, not_before);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('event',13);
INSERT INTO "sqlite_sequence" VALUES('turn',4);
INSERT INTO "sqlite_sequence" VALUES('outbox',4);
COMMIT;
