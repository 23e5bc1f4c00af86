#include "trainer_host/fleet/registry/sqlite.hpp"

#include <sqlite3.h>

#include <cerrno>
#include <type_traits>

namespace outcrop::fleet {
namespace {

ErrorCode code_of(int result) {
  switch (result & 0xff) {
    case SQLITE_FULL:
      return ErrorCode::no_space;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return ErrorCode::invalid_data;
    case SQLITE_CONSTRAINT:
      return ErrorCode::refused;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::timeout;
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      return ErrorCode::internal;
    default:
      return ErrorCode::io;
  }
}

int bind(sqlite3_stmt* statement, int index, const Database::Value& value) {
  return std::visit(
      [&](const auto& held) {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, std::nullptr_t>) {
          return sqlite3_bind_null(statement, index);
        } else if constexpr (std::is_same_v<T, std::int64_t>) {
          return sqlite3_bind_int64(statement, index, held);
        } else if constexpr (std::is_same_v<T, double>) {
          return sqlite3_bind_double(statement, index, held);
        } else {
          return sqlite3_bind_text64(statement, index, held.data(), held.size(), SQLITE_STATIC,
                                     SQLITE_UTF8);
        }
      },
      value);
}

// A statement that is not reset keeps its transaction open.
class ResetAtEnd {
 public:
  explicit ResetAtEnd(sqlite3_stmt* statement) : statement_(statement) {}
  ResetAtEnd(const ResetAtEnd&) = delete;
  ResetAtEnd& operator=(const ResetAtEnd&) = delete;
  ~ResetAtEnd() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }

 private:
  sqlite3_stmt* statement_;
};

}  // namespace

std::string Database::Row::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  return text == nullptr ? std::string() : std::string(text, static_cast<std::size_t>(size));
}

std::int64_t Database::Row::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Database::Row::number(int column) const {
  return sqlite3_column_double(statement_, column);
}

bool Database::Row::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

void Database::Close::operator()(sqlite3* connection) const {
  sqlite3_close_v2(connection);
}

void Database::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

// Where the disk is full SQLite says "disk I/O error" of all files but the database itself.
tl::unexpected<Error> Database::failure(std::string_view doing) const {
  sqlite3* connection = connection_.get();
  const std::string where = "database " + file_.string() + ": " + std::string(doing) + ": ";
  const ErrorCode code = code_of(sqlite3_extended_errcode(connection));
  const int system = sqlite3_system_errno(connection);
  const bool full = system == ENOSPC || system == EDQUOT;
  if (code == ErrorCode::no_space || (code == ErrorCode::io && full)) {
    return fail(ErrorCode::no_space,
                where + "no space is left on the disk that holds it; make room and try again");
  }
  return fail(code, where + sqlite3_errmsg(connection));
}

Result<Database> Database::connect(const std::filesystem::path& file, int flags) {
  Database database;
  database.file_ = file;
  sqlite3* connection = nullptr;
  const int result =
      sqlite3_open_v2(file.c_str(), &connection, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  database.connection_.reset(connection);
  if (connection == nullptr) return fail(ErrorCode::out_of_memory, "no memory for SQLite");
  if (result != SQLITE_OK) return database.failure("opening it");
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_busy_timeout(connection, 5000);
  return database;
}

Result<Database> Database::open_for_reading(const std::filesystem::path& file) {
  OUTCROP_TRY(database, connect(file, SQLITE_OPEN_READONLY));
  OUTCROP_CHECK(database.script("PRAGMA trusted_schema=OFF;"));
  return database;
}

Result<Database> Database::open(const std::filesystem::path& file) {
  OUTCROP_TRY(database, connect(file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  // journal_mode is the first that reads the file: here it shows whether it is a database.
  OUTCROP_CHECK(
      database.script("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                      "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"));
  return database;
}

Status Database::script(const std::string& sql) {
  if (sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return failure(sql.substr(0, 60));
  }
  return {};
}

Result<sqlite3_stmt*> Database::prepare(const std::string& sql) {
  if (const auto found = statements_.find(sql); found != statements_.end()) {
    return found->second.get();
  }
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(connection_.get(), sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &statement,
                         nullptr) != SQLITE_OK) {
    return failure(sql);
  }
  statements_.emplace(sql, statement);
  if (prepared_) prepared_(sql);
  return statement;
}

Status Database::query(const std::string& sql, std::initializer_list<Value> values,
                       const EachRow& each) {
  OUTCROP_TRY(statement, prepare(sql));
  const ResetAtEnd reset(statement);
  int index = 0;
  for (const Value& value : values) {
    if (bind(statement, ++index, value) != SQLITE_OK) return failure(sql);
  }
  while (true) {
    const int result = sqlite3_step(statement);
    if (result == SQLITE_DONE) return {};
    if (result != SQLITE_ROW) return failure(sql);
    OUTCROP_CHECK(each(Row(statement)));
  }
}

Result<std::int64_t> Database::run(const std::string& sql, std::initializer_list<Value> values) {
  OUTCROP_CHECK(query(sql, values, [](const Row&) { return Status(); }));
  return sqlite3_changes64(connection_.get());
}

Status Database::back_up(const std::filesystem::path& file) {
  // VACUUM INTO copies as of one moment, whoever else writes, and refuses a file that is there.
  const auto copied = run("VACUUM INTO ?", {file.string()});
  if (!copied) return fail(copied.error().context("copying to " + file.string()));
  return {};
}

}  // namespace outcrop::fleet
