#include "trainer_host/fleet/registry/sqlite_registry.hpp"

#include <map>
#include <utility>

#include "trainer_host/fleet/registry/schema.hpp"

namespace outcrop::fleet {

Status SqliteRegistry::at_one_moment(const std::function<Status()>& work) {
  if (depth_ > 0) return work();
  OUTCROP_CHECK(database_.run("BEGIN"));
  ++depth_;
  const Status status = work();
  --depth_;
  const auto ended = database_.run("COMMIT");
  if (!ended) (void)database_.run("ROLLBACK");
  return status ? (ended ? Status() : fail(ended.error())) : status;
}

Status SqliteRegistry::transaction(const std::function<Status()>& work) {
  // One within another is a savepoint of it: it fails by itself, and lasts with the other.
  const bool within = depth_ > 0;
  OUTCROP_CHECK(database_.run(within ? "SAVEPOINT part" : "BEGIN IMMEDIATE"));
  const std::size_t waiting = when_committed_.size();
  ++depth_;
  Status status = work();
  --depth_;
  if (status) {
    if (const auto committed = database_.run(within ? "RELEASE part" : "COMMIT"); !committed) {
      status = fail(committed.error());
    }
  }
  // SQLite itself has rolled back after some errors: then these say so, and no more.
  if (!status && within) {
    (void)database_.run("ROLLBACK TO part");
    (void)database_.run("RELEASE part");
  } else if (!status) {
    (void)database_.run("ROLLBACK");
  }
  if (!status) {
    for (const auto& [device, what] : std::map(written_)) unkeep(device, what);
    when_committed_.resize(waiting);
  }
  if (!within) {
    written_.clear();
    for (const auto& told : std::exchange(when_committed_, {})) told();
  }
  return status;
}

void SqliteRegistry::when_committed(std::function<void()> work) {
  if (depth_ == 0) return work();
  when_committed_.push_back(std::move(work));
}

Result<std::uint64_t> SqliteRegistry::next_generation() {
  std::uint64_t generation = 0;
  OUTCROP_CHECK(database_.query(
      "UPDATE counter SET value = value + 1 WHERE name = 'generation' RETURNING value", {},
      [&](const Database::Row& row) {
        generation = static_cast<std::uint64_t>(row.integer(0));
        return Status();
      }));
  if (generation == 0) return fail(ErrorCode::invalid_data, "database: it has no generation");
  return generation;
}

Result<std::uint64_t> SqliteRegistry::last_generation() {
  std::uint64_t generation = 0;
  OUTCROP_CHECK(database_.query("SELECT value FROM counter WHERE name = 'generation'", {},
                                [&](const Database::Row& row) {
                                  generation = static_cast<std::uint64_t>(row.integer(0));
                                  return Status();
                                }));
  return generation;
}

Status SqliteRegistry::raise_generation(std::uint64_t to) {
  return write("UPDATE counter SET value = max(value, ?) WHERE name = 'generation'",
               {to_column(to)});
}

void SqliteRegistry::unkeep(const std::string& device, Written what) {
  devices_.erase(device);
  tell(device, what);
}

void SqliteRegistry::wrote(const std::string& device, Written what) {
  if (depth_ > 0) {
    const auto [place, first] = written_.emplace(device, what);
    if (!first && what == Written::report) place->second = what;
  }
  unkeep(device, what);
}

Status SqliteRegistry::write_of(const std::string& device, Written what, const std::string& sql,
                                std::initializer_list<Database::Value> values) {
  OUTCROP_CHECK(write(sql, values));
  wrote(device, what);
  return {};
}

Result<bool> SqliteRegistry::changes_of(const std::string& device, const std::string& sql, std::initializer_list<Database::Value> values) {
  OUTCROP_TRY(changed, changes(sql, values));
  if (changed) wrote(device, Written::board);
  return changed;
}

Result<bool> SqliteRegistry::changes(const std::string& sql, std::initializer_list<Database::Value> values) {
  OUTCROP_TRY(rows, database_.run(sql, values));
  return rows > 0;
}

Status SqliteRegistry::write(const std::string& sql, std::initializer_list<Database::Value> values) {
  const auto rows = database_.run(sql, values);
  if (!rows) return fail(rows.error());
  return {};
}

Result<std::unique_ptr<Registry>> open_sqlite_registry(
    const std::filesystem::path& file, std::function<void(const std::string& sql)> prepared) {
  OUTCROP_TRY(database, Database::open(file));
  if (const Status status = bring_to_schema(database); !status) {
    return fail(status.error().context(file.string()));
  }
  database.on_prepared(std::move(prepared));
  return std::make_unique<SqliteRegistry>(std::move(database), /*writes=*/true);
}

Result<std::unique_ptr<Registry>> read_sqlite_registry(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    return fail(ErrorCode::not_found, "there is no database " + file.string());
  }
  OUTCROP_TRY(database, Database::open_for_reading(file));
  if (const auto version = check_schema(database); !version) {
    return fail(version.error().context(file.string()));
  }
  return std::make_unique<SqliteRegistry>(std::move(database), /*writes=*/false);
}

}  // namespace outcrop::fleet
