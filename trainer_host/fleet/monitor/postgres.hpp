#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/fleet/monitor/tables.hpp"

struct pg_conn;

namespace outcrop::fleet::monitor {

// One connection to a PostgreSQL server by libpq, for one thread at a time; connects when it is first asked, and anew where the
// one before was lost. Errors: io (the server is away, or broke off), refused (this user may not), no_space, unsupported, else
// invalid_data; they name server and database, never a password.
class Postgres {
 public:
  using EachRow = Tables::EachRow;
  using Value = Tables::Value;

  // `url` as PQconninfoParse() takes it: else invalid_argument.
  [[nodiscard]] static Result<Postgres> open(const std::string& url, std::chrono::seconds longest_statement);

  // Called after each connect, before anything else is asked.
  void on_connected(std::function<Status(Postgres&)> work) { on_connected_ = std::move(work); }
  [[nodiscard]] Status connect();  // does nothing where it is connected
  [[nodiscard]] bool is_connected() const;  // as far as was seen

  // Values are `?` or `?2`; rows are all here before the first is told.
  [[nodiscard]] Status query(const std::string& sql, std::initializer_list<Value> values, const EachRow& each);
  [[nodiscard]] Result<std::int64_t> run(const std::string& sql, std::initializer_list<Value> values = {});
  // Several statements without values.
  [[nodiscard]] Status script(const std::string& sql);
  // Names without a schema are of this one from now on.
  [[nodiscard]] Status use_schema(const std::string& schema);
  [[nodiscard]] Status in_transaction(const std::function<Status()>& work);

  [[nodiscard]] const std::string& name() const { return name_; }  // "the database outcrop on db.example:5432"

 private:
  struct Finish {
    void operator()(pg_conn* connection) const;
  };
  struct Rows;
  [[nodiscard]] Result<Rows> execute(const std::string& sql, const std::vector<Value>& values);
  [[nodiscard]] tl::unexpected<Error> failure(const std::string& message, const char* state) const;

  std::string url_;
  std::string name_;
  std::chrono::seconds longest_statement_{10};
  std::unique_ptr<pg_conn, Finish> connection_;
  std::function<Status(Postgres&)> on_connected_;
  std::string schema_;  // in use; "" where that is not known
  bool within_ = false;  // a transaction
};

}  // namespace outcrop::fleet::monitor
