#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "trainer_host/fleet/monitor/postgres.hpp"
#include "trainer_host/fleet/monitor/store.hpp"

#if OUTCROP_POSTGRES

namespace outcrop::fleet::monitor {
namespace {

constexpr std::int64_t postgres_version = 2;  // of the tables
constexpr std::int64_t oldest_server = 130000;
constexpr std::int64_t one_writer = 0x4f756348;  // the number of an advisory lock, "OucH"
constexpr std::chrono::seconds longest_read{10};
constexpr std::chrono::seconds longest_write{30};

// `span` is where it begins: rows join their key by both.
constexpr const char* parents = R"(
CREATE SCHEMA outcrop;
CREATE TABLE outcrop.version (version BIGINT NOT NULL);
INSERT INTO outcrop.version VALUES (2);
CREATE TABLE outcrop.raw_key (
  span BIGINT NOT NULL, id BIGINT NOT NULL,
  device TEXT NOT NULL, class TEXT NOT NULL, release TEXT NOT NULL, variant TEXT NOT NULL
) PARTITION BY LIST (span);
CREATE TABLE outcrop.hour_key (LIKE outcrop.raw_key) PARTITION BY LIST (span);
CREATE TABLE outcrop.day_key (LIKE outcrop.raw_key) PARTITION BY LIST (span);
CREATE TABLE outcrop.raw (
  span BIGINT NOT NULL, key BIGINT NOT NULL,
  at BIGINT NOT NULL,                -- seconds since 1970
  session BIGINT NOT NULL, sequence BIGINT NOT NULL, received BIGINT NOT NULL,
  time BIGINT NOT NULL,              -- by the board's clock
  interval BIGINT NOT NULL, calls BIGINT NOT NULL, errors BIGINT NOT NULL,
  served TEXT NOT NULL,              -- histograms: history_file.hpp
  temperature DOUBLE PRECISION, frequency DOUBLE PRECISION,
  throttled_now BIGINT, throttled_since BIGINT,
  free_memory BIGINT, free_disk BIGINT, uptime BIGINT,
  restarts BIGINT NOT NULL,
  disk_written BIGINT, disk_worn DOUBLE PRECISION
) PARTITION BY RANGE (at);
CREATE TABLE outcrop.hour (
  span BIGINT NOT NULL, key BIGINT NOT NULL,
  at BIGINT NOT NULL,
  samples BIGINT NOT NULL, boards BIGINT NOT NULL, calls BIGINT NOT NULL, errors BIGINT NOT NULL,
  t0 BIGINT NOT NULL, t1 BIGINT NOT NULL, t2 BIGINT NOT NULL, t3 BIGINT NOT NULL,
  h0 TEXT NOT NULL, h1 TEXT NOT NULL, h2 TEXT NOT NULL, h3 TEXT NOT NULL, h4 TEXT NOT NULL, h5 TEXT NOT NULL, h6 TEXT NOT NULL DEFAULT '', h7 TEXT NOT NULL DEFAULT ''
) PARTITION BY RANGE (at);
CREATE TABLE outcrop.day (LIKE outcrop.hour) PARTITION BY RANGE (at);
CREATE TABLE outcrop.measured (
  span BIGINT NOT NULL, key BIGINT NOT NULL,
  at BIGINT NOT NULL,
  figures TEXT NOT NULL,             -- digest of the figures: reports repeat what was measured before
  p50 DOUBLE PRECISION NOT NULL, p90 DOUBLE PRECISION NOT NULL, load DOUBLE PRECISION NOT NULL, first DOUBLE PRECISION NOT NULL,
  memory BIGINT NOT NULL,
  error DOUBLE PRECISION,            -- of the golden outputs
  void BIGINT NOT NULL
) PARTITION BY RANGE (at);
)";

// From version 1, which knew no wear of disks.
constexpr const char* since_1 = R"(
ALTER TABLE outcrop.raw ADD COLUMN disk_written BIGINT, ADD COLUMN disk_worn DOUBLE PRECISION;
ALTER TABLE outcrop.hour ADD COLUMN h6 TEXT NOT NULL DEFAULT '', ADD COLUMN h7 TEXT NOT NULL DEFAULT '';
ALTER TABLE outcrop.day ADD COLUMN h6 TEXT NOT NULL DEFAULT '', ADD COLUMN h7 TEXT NOT NULL DEFAULT '';
UPDATE outcrop.version SET version = 2;
)";

constexpr std::string_view prefix = "outcrop_";

// "outcrop_raw_2026_11_29", of "raw-2026-11-29.sqlite".
std::string schema_of(const FileSpan& span) {
  std::string name = file_name(span);
  name.resize(name.find('.'));
  std::replace(name.begin(), name.end(), '-', '_');
  return std::string(prefix) + name;
}

std::optional<FileSpan> span_of_schema(std::string name) {
  name.erase(0, prefix.size());
  std::replace(name.begin(), name.end(), '_', '-');
  return span_of(name + ".sqlite");
}

// The partitions of a span, by the names that its file has.
std::string partitions_of(const FileSpan& span) {
  const std::string schema = schema_of(span);
  const std::string from = std::to_string(seconds_of(span.from));
  const std::string to = std::to_string(seconds_of(span.to));
  const std::string kind = span.kind == FileKind::raw ? "raw" : span.kind == FileKind::hour ? "hour" : "day";
  const auto table = [&](const std::string& name, const std::string& parent, const std::string& unique) {
    return "CREATE TABLE " + name + " PARTITION OF outcrop." + parent + " FOR VALUES FROM (" + from + ") TO (" + to +
           ");ALTER TABLE " + name + " ALTER span SET DEFAULT " + from + ";CREATE UNIQUE INDEX ON " + name + " (" + unique +
           ");CREATE INDEX ON " + name + " (key, at);CREATE INDEX ON " + name + " (at);";
  };
  std::string sql = "CREATE SCHEMA " + schema + ";SET LOCAL search_path TO " + schema + ";CREATE TABLE key PARTITION OF outcrop." +
                    kind + "_key FOR VALUES IN (" + from + ");ALTER TABLE key ALTER span SET DEFAULT " + from +
                    ";CREATE SEQUENCE key_id OWNED BY key.id;ALTER TABLE key ALTER id SET DEFAULT nextval('" + schema +
                    ".key_id');ALTER TABLE key ADD PRIMARY KEY (id);CREATE UNIQUE INDEX ON key (device, class, release, variant);";
  if (span.kind == FileKind::raw) {
    sql += table("raw", "raw", "key, session, sequence") + "CREATE TABLE pending (hour BIGINT PRIMARY KEY);";
  } else {
    sql += table("merged", kind, "key, at");
    sql += span.kind == FileKind::hour ? "CREATE TABLE pending (day BIGINT PRIMARY KEY);" : table("measured", "measured", "key, figures");
  }
  return sql;
}

Result<std::int64_t> number_of(Postgres& server, const std::string& sql, std::initializer_list<Tables::Value> values = {}) {
  std::int64_t number = 0;
  OUTCROP_CHECK(server.query(sql, values, [&](const Tables::Row& row) {
    number = row.integer(0);
    return Status();
  }));
  return number;
}

// Whether our tables are there.
Result<bool> check_tables(Postgres& server) {
  OUTCROP_TRY(version_of_server, number_of(server, "SELECT current_setting('server_version_num')::bigint"));
  if (version_of_server < oldest_server) {
    return fail(ErrorCode::unsupported, server.name() + " is of a PostgreSQL before 13: use a newer one");
  }
  OUTCROP_TRY(utf8, number_of(server, "SELECT CASE current_setting('server_encoding') WHEN 'UTF8' THEN 1 ELSE 0 END"));
  if (utf8 == 0) return fail(ErrorCode::unsupported, server.name() + " has no UTF-8 encoding: make one with ENCODING 'UTF8'");
  OUTCROP_TRY(may_create, number_of(server, "SELECT has_database_privilege(current_database(), 'CREATE')::int"));
  if (may_create == 0) {
    return fail(ErrorCode::refused, server.name() + ": this user may not make schemas there: GRANT CREATE ON DATABASE ... TO ...");
  }
  OUTCROP_TRY(there, number_of(server, "SELECT count(*) FROM pg_namespace WHERE nspname = 'outcrop'"));
  if (there == 0) return false;
  OUTCROP_TRY(ours, number_of(server, "SELECT count(*) FROM pg_namespace WHERE nspname = 'outcrop' AND pg_has_role(nspowner, 'USAGE')"));
  if (ours == 0) {
    return fail(ErrorCode::refused, server.name() + ": its schema 'outcrop' is another user's: connect as that one");
  }
  OUTCROP_TRY(known, number_of(server, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('outcrop.version')"));
  if (known == 0) return fail(ErrorCode::invalid_data, server.name() + " has a schema 'outcrop' that is not a history's: use another database");
  OUTCROP_TRY(version, number_of(server, "SELECT version FROM outcrop.version"));
  if (version > postgres_version) {
    return fail(ErrorCode::unsupported, server.name() + " was written by a newer outcropd (history " + std::to_string(version) +
                                            ", this one reads up to " + std::to_string(postgres_version) +
                                            "): install that one, or use another database");
  }
  return true;
}

// Of one span; `lock`: where other threads ask by the same connection.
class PostgresTables final : public Tables {
 public:
  PostgresTables(Postgres& server, std::string schema, std::mutex* lock)
      : server_(&server), schema_(std::move(schema)), lock_(lock) {}

  Status query(const std::string& sql, std::initializer_list<Value> values, const EachRow& each) override {
    const auto held = hold();
    OUTCROP_CHECK(server_->use_schema(schema_));
    return server_->query(sql, values, each);
  }
  Result<std::int64_t> run(const std::string& sql, std::initializer_list<Value> values) override {
    const auto held = hold();
    OUTCROP_CHECK(server_->use_schema(schema_));
    return server_->run(sql, values);
  }

 private:
  [[nodiscard]] std::unique_lock<std::mutex> hold() const {
    return lock_ == nullptr ? std::unique_lock<std::mutex>() : std::unique_lock(*lock_);
  }

  Postgres* server_;
  std::string schema_;
  std::mutex* lock_;
};

class PostgresStore final : public Store {
 public:
  PostgresStore(Postgres writer, Postgres reader) : writer_(std::move(writer)), reader_(std::move(reader)) {
    writer_.on_connected([this](Postgres& server) { return prepare(server); });
  }

  Result<std::vector<FileSpan>> list() override {
    const std::scoped_lock lock(mutex_);
    std::vector<FileSpan> found;
    OUTCROP_CHECK(again([&] {
      found.clear();
      return reader_.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'outcrop\\_%'", {}, [&](const Tables::Row& row) {
        if (const auto span = span_of_schema(row.text(0))) found.push_back(*span);
        return Status();
      });
    }));
    std::sort(found.begin(), found.end());
    return found;
  }

  Result<std::unique_ptr<Tables>> read(const FileSpan& span) override {
    const std::scoped_lock lock(mutex_);
    std::int64_t there = 0;
    OUTCROP_CHECK(again([&]() -> Status {
      OUTCROP_TRY(count, number_of(reader_, "SELECT count(*) FROM pg_namespace WHERE nspname = ?", {schema_of(span)}));
      there = count;
      return {};
    }));
    if (there == 0) return std::unique_ptr<Tables>();
    return std::unique_ptr<Tables>(std::make_unique<PostgresTables>(reader_, schema_of(span), &mutex_));
  }

  Result<ByteCount> size() override {
    const std::scoped_lock lock(mutex_);
    std::int64_t bytes = 0;
    OUTCROP_CHECK(again([&]() -> Status {
      OUTCROP_TRY(sum, number_of(reader_, "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN "
                                          "pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname LIKE 'outcrop\\_%' AND "
                                          "c.relkind = 'r'"));
      bytes = sum;
      return {};
    }));
    return ByteCount(static_cast<std::uint64_t>(bytes));
  }

  Result<Tables*> open(const FileSpan& span) override {
    OUTCROP_CHECK(make(span));
    return &tables_.try_emplace(span, writer_, schema_of(span), nullptr).first->second;
  }

  Status in_transaction(const FileSpan& span, const std::function<Status(Tables&)>& work) override {
    OUTCROP_TRY(tables, open(span));
    return writer_.in_transaction([&] { return work(*tables); });
  }

  Status remove(const FileSpan& span) override {
    made_.erase(span);
    tables_.erase(span);
    return writer_.script("DROP SCHEMA IF EXISTS " + schema_of(span) + " CASCADE");
  }

  void release_some() override {}

 private:
  // A server that was started anew has dropped the connection: that is seen when it is asked.
  Status again(const std::function<Status()>& work) {
    const bool was_connected = reader_.is_connected();
    Status status = work();
    if (!status && status.error().code() == ErrorCode::io && was_connected) status = work();
    return status;
  }

  // Of each connection of the writer's.
  Status prepare(Postgres& server) {
    made_.clear();
    OUTCROP_TRY(there, check_tables(server));
    OUTCROP_TRY(alone, number_of(server, "SELECT pg_try_advisory_lock(?)::int", {one_writer}));
    if (alone == 0) return fail(ErrorCode::refused, server.name() + ": another outcropd keeps its history there");
    OUTCROP_CHECK(server.script("SET synchronous_commit TO on"));
    return server.in_transaction([&]() -> Status {
      if (!there) return server.script(parents);
      OUTCROP_TRY(version, number_of(server, "SELECT version FROM outcrop.version"));
      return version < postgres_version ? server.script(since_1) : Status();
    });
  }

  Status make(const FileSpan& span) {
    OUTCROP_CHECK(writer_.connect());
    if (made_.contains(span)) return {};
    OUTCROP_TRY(there, number_of(writer_, "SELECT count(*) FROM pg_namespace WHERE nspname = ?", {schema_of(span)}));
    if (there == 0) OUTCROP_CHECK(writer_.in_transaction([&] { return writer_.script(partitions_of(span)); }));
    made_.insert(span);
    return {};
  }

  Postgres writer_;
  std::set<FileSpan> made_;
  std::map<FileSpan, PostgresTables> tables_;
  std::mutex mutex_;  // guards the reader
  Postgres reader_;
};

}  // namespace

Result<std::unique_ptr<Store>> open_postgres_store(const std::string& url) {
  OUTCROP_TRY(writer, Postgres::open(url, longest_write));
  OUTCROP_TRY(reader, Postgres::open(url, longest_read));
  return std::unique_ptr<Store>(std::make_unique<PostgresStore>(std::move(writer), std::move(reader)));
}

Status check_postgres_store(const std::string& url) {
  OUTCROP_TRY(server, Postgres::open(url, longest_read));
  OUTCROP_TRY(there, check_tables(server));
  (void)there;
  return {};
}

bool has_postgres() {
  return true;
}

}  // namespace outcrop::fleet::monitor

#else

namespace outcrop::fleet::monitor {

Result<std::unique_ptr<Store>> open_postgres_store(const std::string&) {
  return fail(ErrorCode::unsupported, "this outcropd was built without PostgreSQL: build it where libpq-dev is installed "
                                      "(script/bootstrap --postgresql), or leave [history] out");
}

Status check_postgres_store(const std::string& url) {
  return fail(open_postgres_store(url).error());
}

bool has_postgres() {
  return false;
}

}  // namespace outcrop::fleet::monitor

#endif
