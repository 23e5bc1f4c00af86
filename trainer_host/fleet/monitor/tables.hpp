#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <variant>

#include "protocol/base/error.hpp"

namespace outcrop::fleet::monitor {

// The tables of one span of the history (history_file.hpp), asked in the SQL that SQLite and PostgreSQL read alike: values are
// `?`, or `?2` for the second. For one thread.
class Tables {
 public:
  using Value = std::variant<std::nullptr_t, std::int64_t, double, std::string>;

  // Values of the row that a query is at; valid during the call only.
  class Row {
   public:
    [[nodiscard]] virtual std::string text(int column) const = 0;
    [[nodiscard]] virtual std::int64_t integer(int column) const = 0;
    [[nodiscard]] virtual double number(int column) const = 0;
    [[nodiscard]] virtual bool is_null(int column) const = 0;

   protected:
    ~Row() = default;
  };
  using EachRow = std::function<Status(const Row&)>;

  virtual ~Tables() = default;
  [[nodiscard]] virtual Status query(const std::string& sql, std::initializer_list<Value> values, const EachRow& each) = 0;
  // For statements without rows; returns how many rows they changed.
  [[nodiscard]] virtual Result<std::int64_t> run(const std::string& sql, std::initializer_list<Value> values) = 0;
};

}  // namespace outcrop::fleet::monitor
