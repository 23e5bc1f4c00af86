#include "trainer_host/fleet/registry/schema.hpp"

#include <array>
#include <string>

namespace outcrop::fleet {
namespace {

constexpr std::int64_t application_id = 0x4f757463;  // "Outc"

// Step n brings a file of version n to n + 1. Steps that were released are never changed.
constexpr std::array<const char*, schema_version> steps{R"(
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO counter VALUES ('generation', 0);

CREATE TABLE device (
  name TEXT PRIMARY KEY,
  model TEXT NOT NULL,
  device_class TEXT NOT NULL,
  key TEXT NOT NULL,                 -- Ed25519, hexadecimal
  certificate TEXT NOT NULL,         -- PEM
  enrolled INTEGER NOT NULL,         -- times: seconds since 1970
  revoked INTEGER,
  revoked_reason TEXT NOT NULL,
  status TEXT,                       -- SCHEMA.md, "Status"
  last_seen INTEGER
) STRICT;

CREATE TABLE release (
  manifest TEXT PRIMARY KEY,         -- digests: hexadecimal
  manifest_size INTEGER NOT NULL,
  model TEXT NOT NULL,
  stage INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  published INTEGER NOT NULL,
  total INTEGER NOT NULL,
  place INTEGER NOT NULL             -- order of arrival
) STRICT;

CREATE TABLE rollout (
  name TEXT PRIMARY KEY,
  model TEXT NOT NULL,
  manifest TEXT NOT NULL REFERENCES release (manifest),
  state TEXT NOT NULL,
  resume_to TEXT NOT NULL,
  reason TEXT NOT NULL,
  on_unmeasurable INTEGER NOT NULL,
  soak INTEGER NOT NULL,
  byte_budget INTEGER NOT NULL,
  failed_share REAL NOT NULL,
  started INTEGER NOT NULL,
  ended INTEGER,
  place INTEGER NOT NULL
) STRICT;

CREATE TABLE assignment (
  rollout TEXT NOT NULL REFERENCES rollout (name),
  device TEXT NOT NULL REFERENCES device (name),
  canary INTEGER NOT NULL,
  excluded INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  cancelled INTEGER NOT NULL,
  manifest TEXT NOT NULL,
  return_to TEXT,
  variants TEXT NOT NULL,            -- JSON array
  state TEXT,
  reason TEXT NOT NULL,
  confirmed INTEGER NOT NULL,
  session INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  PRIMARY KEY (rollout, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX assignment_of_device ON assignment (device, generation);

CREATE TABLE report (
  place INTEGER PRIMARY KEY,
  device TEXT NOT NULL REFERENCES device (name),
  key TEXT NOT NULL,                 -- which of the board's keys signed it
  session INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  manifest TEXT NOT NULL,
  received INTEGER NOT NULL,
  report TEXT NOT NULL,              -- as read from the envelope
  envelope TEXT NOT NULL,            -- as signed by the board
  UNIQUE (device, key, session, sequence)
) STRICT;
CREATE INDEX report_of_manifest ON report (manifest, place);

CREATE TABLE metadata (role TEXT PRIMARY KEY, envelope TEXT NOT NULL) STRICT;
CREATE TABLE authority (certificate TEXT PRIMARY KEY, crl TEXT NOT NULL) STRICT;
)",
                                                           R"(
ALTER TABLE device ADD COLUMN highest_session INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN attention TEXT NOT NULL DEFAULT '';
ALTER TABLE rollout ADD COLUMN past INTEGER NOT NULL DEFAULT 0;

-- A number that came with several contents is several reports: copy 0, 1, 2, ...
CREATE TABLE report_with_copies (
  place INTEGER PRIMARY KEY,
  device TEXT NOT NULL REFERENCES device (name),
  key TEXT NOT NULL,
  session INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  copy INTEGER NOT NULL,
  manifest TEXT NOT NULL,
  received INTEGER NOT NULL,
  report TEXT NOT NULL,
  envelope TEXT NOT NULL,
  UNIQUE (device, key, session, sequence, copy)
) STRICT;
INSERT INTO report_with_copies
  SELECT place, device, key, session, sequence, 0, manifest, received, report, envelope FROM report;
DROP TABLE report;
ALTER TABLE report_with_copies RENAME TO report;
CREATE INDEX report_of_manifest ON report (manifest, place);

CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
)",
                                                           R"(
ALTER TABLE release ADD COLUMN quality TEXT;  -- SCHEMA.md, "Quality"; NULL: nobody has looked
)",
                                                           R"(
ALTER TABLE device ADD COLUMN signs INTEGER NOT NULL DEFAULT 0;  -- its status came signed
)",
                                                           R"(
-- Whether it was about a release of this host when it came: those that were not share one lot.
ALTER TABLE report ADD COLUMN known INTEGER NOT NULL DEFAULT 1;
UPDATE report SET known = 0 WHERE manifest NOT IN (SELECT manifest FROM release);
CREATE INDEX report_of_device ON report (device, place);
CREATE INDEX report_of_device_and_manifest ON report (device, manifest, place);
CREATE INDEX report_of_no_release ON report (device, place) WHERE known = 0;
CREATE INDEX device_enrolled ON device (name) WHERE revoked IS NULL;
CREATE INDEX device_of_model ON device (model, name);
CREATE INDEX rollout_under_way ON rollout (place) WHERE ended IS NULL;

-- Who did what (monitor/audit.hpp). Each entry's hash covers the one before.
CREATE TABLE audit (
  number INTEGER PRIMARY KEY,        -- from 1, without gaps
  time INTEGER NOT NULL,
  who TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,              -- JSON object
  before TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_of_subject ON audit (subject, number);
CREATE INDEX audit_of_action ON audit (action, number);
CREATE TRIGGER audit_has_no_gap BEFORE INSERT ON audit
  WHEN NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM audit)
  BEGIN SELECT RAISE(ABORT, 'the next entry of the audit log has another number'); END;
CREATE TRIGGER audit_does_not_change BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'entries of the audit log are never changed'); END;
CREATE TRIGGER audit_does_not_end BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'entries of the audit log are never removed'); END;
)",
                                                           R"(
ALTER TABLE rollout ADD COLUMN slower_allowed REAL NOT NULL DEFAULT 0.02;
ALTER TABLE rollout ADD COLUMN false_stops REAL NOT NULL DEFAULT 0.01;
ALTER TABLE rollout ADD COLUMN first_ring INTEGER NOT NULL DEFAULT 10;
ALTER TABLE assignment ADD COLUMN slowdown REAL;  -- of p90; NULL: not measured beside what served
ALTER TABLE assignment ADD COLUMN slowdown_p50 REAL;  -- with it
)",
                                                           R"(
CREATE INDEX assignment_without_word ON assignment (device) WHERE state IS NULL AND generation > 0;
)",
                                                           R"(
ALTER TABLE device ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';  -- JSON array
ALTER TABLE rollout ADD COLUMN at_once INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollout ADD COLUMN a_minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollout ADD COLUMN deadline INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollout ADD COLUMN target_class TEXT NOT NULL DEFAULT '';
ALTER TABLE rollout ADD COLUMN target_tag TEXT NOT NULL DEFAULT '';
ALTER TABLE rollout ADD COLUMN target_name TEXT NOT NULL DEFAULT '';
ALTER TABLE rollout ADD COLUMN target_share REAL NOT NULL DEFAULT 1;
ALTER TABLE rollout ADD COLUMN target_group TEXT NOT NULL DEFAULT '';
ALTER TABLE rollout ADD COLUMN starts INTEGER;
ALTER TABLE rollout ADD COLUMN windows TEXT NOT NULL DEFAULT '';  -- "22:00-04:00,12:00-13:00"
ALTER TABLE rollout ADD COLUMN rings_skipped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollout ADD COLUMN minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollout ADD COLUMN in_minute INTEGER NOT NULL DEFAULT 0;
CREATE TABLE saved_group (name TEXT PRIMARY KEY, filter TEXT NOT NULL) STRICT;
)",
                                                           R"(
ALTER TABLE rollout ADD COLUMN takes_back TEXT NOT NULL DEFAULT 'nothing';  -- of what boards are still to be told
ALTER TABLE rollout ADD COLUMN takes_back_because TEXT NOT NULL DEFAULT '';
ALTER TABLE rollout ADD COLUMN aim TEXT NOT NULL DEFAULT '';  -- '': the release's own objective
)",
                                                           R"(
-- What was answered to requests with an Idempotency-Key.
CREATE TABLE given_answer (
  place INTEGER PRIMARY KEY,
  caller TEXT NOT NULL,
  key TEXT NOT NULL,
  request TEXT NOT NULL,             -- digest of what was asked
  given INTEGER NOT NULL,
  status INTEGER NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (caller, key)
) STRICT;
CREATE INDEX given_answer_of_caller ON given_answer (caller, place, length(body));
CREATE INDEX given_answer_at ON given_answer (given);
)",
                                                           R"(
-- What boards drew: of each the newest, which goes with its revocation, or when another has its name.
CREATE TABLE picture (
  device TEXT PRIMARY KEY,
  asked INTEGER NOT NULL,            -- when, the last time
  waits INTEGER NOT NULL,            -- it has not answered since
  received INTEGER,                  -- NULL: it never answered
  manifest TEXT,                     -- of the release that drew
  picture TEXT                       -- SCHEMA.md, "Picture"
) STRICT;
CREATE INDEX picture_asked ON picture (asked);
CREATE INDEX picture_of_manifest ON picture (manifest, device);
CREATE TRIGGER picture_goes_with_its_board AFTER UPDATE OF revoked, enrolled ON device
  WHEN NEW.revoked IS NOT NULL OR NEW.enrolled <> OLD.enrolled
  BEGIN DELETE FROM picture WHERE device = NEW.name; END;
)"};

Result<std::int64_t> pragma(Database& database, const std::string& name) {
  std::int64_t value = 0;
  OUTCROP_CHECK(database.query("PRAGMA " + name, {}, [&](const Database::Row& row) {
    value = row.integer(0);
    return Status();
  }));
  return value;
}

Status migrate(Database& database, std::int64_t from, std::int64_t to) {
  for (std::int64_t version = from; version < to; ++version) {
    OUTCROP_CHECK(database.script(steps.at(static_cast<std::size_t>(version))));
  }
  return database.script("PRAGMA application_id=" + std::to_string(application_id) +
                         ";PRAGMA user_version=" + std::to_string(to));
}

}  // namespace

Result<std::int64_t> check_schema(Database& database) {
  OUTCROP_TRY(version, pragma(database, "user_version"));
  OUTCROP_TRY(owner, pragma(database, "application_id"));
  OUTCROP_TRY(pages, pragma(database, "schema_version"));  // SQLite's own: 0 in an empty file
  if (pages != 0 && owner != application_id) {
    return fail(ErrorCode::invalid_data, "is a database of another program");
  }
  if (version > schema_version) {
    return fail(ErrorCode::unsupported, "was written by a newer outcropd (schema " +
                                            std::to_string(version) + ", this one reads up to " +
                                            std::to_string(schema_version) +
                                            "): install that one, or go back to a backup");
  }
  return version;
}

Status bring_to_schema(Database& database, std::int64_t to) {
  OUTCROP_TRY(version, check_schema(database));
  if (version == to) return {};
  OUTCROP_CHECK(database.script("BEGIN IMMEDIATE"));
  Status status = migrate(database, version, to);
  if (status) status = database.script("COMMIT");
  if (!status) (void)database.script("ROLLBACK");
  return status;
}

}  // namespace outcrop::fleet
