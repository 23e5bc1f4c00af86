#include "trainer_host/fleet/monitor/postgres.hpp"

#if OUTCROP_POSTGRES

#include <libpq-fe.h>

#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <optional>

#include "protocol/base/number.hpp"

namespace outcrop::fleet::monitor {
namespace {

constexpr const char* connect_patience = "5";  // seconds, for each address
constexpr std::chrono::seconds server_gone{15};  // that sends nothing any more

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using Options = std::unique_ptr<PQconninfoOption, FreeOptions>;

std::string value_of(const Options& options, const std::string& keyword) {
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (keyword == option->keyword && option->val != nullptr) return option->val;
  }
  return "";
}

// `?` and `?2` as $1 and $2; none of our statements has one in a text.
std::string numbered(const std::string& sql) {
  std::string text;
  int next = 0;
  for (std::size_t i = 0; i < sql.size(); ++i) {
    if (sql[i] != '?') {
      text.push_back(sql[i]);
      continue;
    }
    const bool named = i + 1 < sql.size() && std::isdigit(static_cast<unsigned char>(sql[i + 1])) != 0;
    text += named ? "$" : "$" + std::to_string(++next);
  }
  return text;
}

std::optional<std::string> text_of(const Tables::Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&value)) {
    std::array<char, 40> digits{};
    return std::string(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), *number).ptr);
  }
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return std::nullopt;
}

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.pop_back();
  return text;
}

class PostgresRow final : public Tables::Row {
 public:
  PostgresRow(const PGresult* rows, int row) : rows_(rows), row_(row) {}
  [[nodiscard]] std::string text(int column) const override {
    return {PQgetvalue(rows_, row_, column), static_cast<std::size_t>(PQgetlength(rows_, row_, column))};
  }
  [[nodiscard]] std::int64_t integer(int column) const override { return read_number<std::int64_t>(text(column)).value_or(0); }
  [[nodiscard]] double number(int column) const override { return read_number<double>(text(column)).value_or(0); }
  [[nodiscard]] bool is_null(int column) const override { return PQgetisnull(rows_, row_, column) != 0; }

 private:
  const PGresult* rows_;
  int row_;
};

// SQLSTATE (https://www.postgresql.org/docs/15/errcodes-appendix.html), by its class.
ErrorCode code_of(const char* state) {
  const std::string_view text = state == nullptr ? "" : state;
  if (text.empty() || text.starts_with("08") || text.starts_with("57P")) return ErrorCode::io;
  if (text == "57014") return ErrorCode::timeout;
  if (text == "53100") return ErrorCode::no_space;
  if (text == "42501" || text.starts_with("28")) return ErrorCode::refused;
  return ErrorCode::invalid_data;
}

}  // namespace

struct Postgres::Rows {
  struct Clear {
    void operator()(PGresult* rows) const { PQclear(rows); }
  };
  std::unique_ptr<PGresult, Clear> rows;
};

void Postgres::Finish::operator()(pg_conn* connection) const {
  PQfinish(connection);
}

Result<Postgres> Postgres::open(const std::string& url, std::chrono::seconds longest_statement) {
  char* said = nullptr;
  const Options options(PQconninfoParse(url.c_str(), &said));
  if (!options) {
    // Not libpq's own words: they repeat what is in the URL, a password perhaps.
    PQfreemem(said);
    return fail(ErrorCode::invalid_argument, "the URL of the history's database does not read; write it as "
                                             "postgresql://user@host:5432/database?sslmode=verify-full");
  }
  Postgres made;
  made.url_ = url;
  made.longest_statement_ = longest_statement;
  const std::string host = value_of(options, "host");
  const std::string port = value_of(options, "port");
  const std::string database = value_of(options, "dbname");
  made.name_ = (database.empty() ? "the database of this user" : "the database " + database) + " on " +
               (host.empty() ? "this machine" : host + (port.empty() ? "" : ":" + port));
  return made;
}

tl::unexpected<Error> Postgres::failure(const std::string& message, const char* state) const {
  return fail(code_of(state), name_ + ": " + trimmed(message));
}

bool Postgres::is_connected() const {
  return connection_ && PQstatus(connection_.get()) == CONNECTION_OK;
}

Status Postgres::connect() {
  if (is_connected()) return {};
  if (within_) return fail(ErrorCode::io, name_ + ": the connection broke off within a transaction");
  const std::string patience = std::to_string(std::chrono::milliseconds(server_gone).count());
  const std::string statement = "-c statement_timeout=" + std::to_string(std::chrono::milliseconds(longest_statement_).count()) +
                                " -c idle_in_transaction_session_timeout=60000 -c client_min_messages=warning";
  // The URL comes last, so that what it says counts.
  const char* const keywords[] = {"connect_timeout", "tcp_user_timeout", "keepalives_idle", "keepalives_interval",
                                  "keepalives_count", "application_name", "client_encoding", "options", "dbname", nullptr};
  const char* const values[] = {connect_patience, patience.c_str(), "10", "2", "3", "outcropd", "UTF8", statement.c_str(),
                                url_.c_str(), nullptr};
  connection_.reset(PQconnectdbParams(keywords, values, /*expand_dbname=*/1));
  schema_.clear();
  if (!connection_) return fail(ErrorCode::internal, "no memory for a connection");
  if (PQstatus(connection_.get()) != CONNECTION_OK) {
    const auto failed = fail(ErrorCode::io, name_ + ": " + trimmed(PQerrorMessage(connection_.get())));
    connection_.reset();
    return failed;
  }
  PQsetNoticeProcessor(connection_.get(), [](void*, const char*) {}, nullptr);
  const Status status = on_connected_ ? on_connected_(*this) : Status();
  if (!status) connection_.reset();
  return status;
}

Result<Postgres::Rows> Postgres::execute(const std::string& sql, const std::vector<Value>& values) {
  OUTCROP_CHECK(connect());
  std::vector<std::optional<std::string>> texts;
  std::vector<const char*> pointers;
  texts.reserve(values.size());
  for (const Value& value : values) {
    texts.push_back(text_of(value));
    pointers.push_back(texts.back() ? texts.back()->c_str() : nullptr);
  }
  Rows rows;
  rows.rows.reset(PQexecParams(connection_.get(), numbered(sql).c_str(), static_cast<int>(values.size()), nullptr,
                               pointers.data(), nullptr, nullptr, 0));
  const ExecStatusType status = PQresultStatus(rows.rows.get());
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return rows;
  return failure(PQerrorMessage(connection_.get()), PQresultErrorField(rows.rows.get(), PG_DIAG_SQLSTATE));
}

Status Postgres::query(const std::string& sql, std::initializer_list<Value> values, const EachRow& each) {
  OUTCROP_TRY(rows, execute(sql, values));
  const int count = PQntuples(rows.rows.get());
  for (int row = 0; row < count; ++row) OUTCROP_CHECK(each(PostgresRow(rows.rows.get(), row)));
  return {};
}

Result<std::int64_t> Postgres::run(const std::string& sql, std::initializer_list<Value> values) {
  OUTCROP_TRY(rows, execute(sql, values));
  return read_number<std::int64_t>(PQcmdTuples(rows.rows.get())).value_or(0);
}

Status Postgres::script(const std::string& sql) {
  OUTCROP_CHECK(connect());
  Rows rows;
  rows.rows.reset(PQexec(connection_.get(), sql.c_str()));
  const ExecStatusType status = PQresultStatus(rows.rows.get());
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return {};
  return failure(PQerrorMessage(connection_.get()), PQresultErrorField(rows.rows.get(), PG_DIAG_SQLSTATE));
}

Status Postgres::use_schema(const std::string& schema) {
  OUTCROP_CHECK(connect());
  if (schema == schema_) return {};
  schema_.clear();
  OUTCROP_CHECK(query("SELECT set_config('search_path', ?, false)", {schema}, [](const Tables::Row&) { return Status(); }));
  schema_ = schema;
  return {};
}

Status Postgres::in_transaction(const std::function<Status()>& work) {
  OUTCROP_CHECK(script("BEGIN"));
  within_ = true;
  Status status = work();
  if (status) status = script("COMMIT");
  if (!status) {
    (void)script("ROLLBACK");
    schema_.clear();  // that is rolled back, too
  }
  within_ = false;
  return status;
}

}  // namespace outcrop::fleet::monitor

#endif
