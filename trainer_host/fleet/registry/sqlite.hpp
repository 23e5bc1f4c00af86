#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/base/error.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace outcrop::fleet {

// One connection to an SQLite file (https://www.sqlite.org/c3ref/intro.html), for one thread.
// Errors: no_space (disk full, whatever SQLite calls it), invalid_data (no database, or a damaged
// one), refused (a constraint), timeout (another process held it for five seconds), else io.
class Database {
 public:
  using Value = std::variant<std::nullptr_t, std::int64_t, double, std::string>;

  // Values of the row that a query is at; valid during the call only.
  class Row {
   public:
    [[nodiscard]] std::string text(int column) const;
    [[nodiscard]] std::int64_t integer(int column) const;
    [[nodiscard]] double number(int column) const;
    [[nodiscard]] bool is_null(int column) const;

   private:
    friend class Database;
    explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
    sqlite3_stmt* statement_;
  };
  using EachRow = std::function<Status(const Row&)>;

  // Makes the file where it is missing. WAL, synchronous=FULL, foreign keys on.
  [[nodiscard]] static Result<Database> open(const std::filesystem::path& file);
  // A file that is there, whoever else works in it: nothing can be written through this one.
  [[nodiscard]] static Result<Database> open_for_reading(const std::filesystem::path& file);

  // Prepared once for each text of `sql`. `each` may not run the same `sql` again.
  [[nodiscard]] Status query(const std::string& sql, std::initializer_list<Value> values,
                             const EachRow& each);
  // For statements without rows; returns how many rows they changed.
  [[nodiscard]] Result<std::int64_t> run(const std::string& sql,
                                         std::initializer_list<Value> values = {});
  // Several statements without values.
  [[nodiscard]] Status script(const std::string& sql);

  // Called with each statement when it is prepared.
  void on_prepared(std::function<void(const std::string& sql)> prepared) {
    prepared_ = std::move(prepared);
  }

  // A copy of the whole database as of one moment, into a file that must not exist.
  [[nodiscard]] Status back_up(const std::filesystem::path& file);

 private:
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Database() = default;
  [[nodiscard]] static Result<Database> connect(const std::filesystem::path& file, int flags);
  [[nodiscard]] Result<sqlite3_stmt*> prepare(const std::string& sql);
  [[nodiscard]] tl::unexpected<Error> failure(std::string_view doing) const;

  std::filesystem::path file_;
  std::unique_ptr<sqlite3, Close> connection_;
  std::map<std::string, std::unique_ptr<sqlite3_stmt, Finalize>> statements_;
  std::function<void(const std::string&)> prepared_;
};

}  // namespace outcrop::fleet
