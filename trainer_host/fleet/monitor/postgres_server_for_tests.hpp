#pragma once

#include <string>

#include "tests/support/temporary_folder.hpp"

namespace outcrop::fleet::monitor {

// A PostgreSQL server of this test program's own, on a Unix socket in a folder of its own; it ends with the object. As root it
// runs as the user postgres: it takes no root.
class PostgresServer {
 public:
  // Whether its programs and libpq are here.
  [[nodiscard]] static bool is_here();

  PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;
  ~PostgresServer();

  void start();  // and waits until it answers
  void stop();   // at once, as a power cut would
  // Makes one; its URL.
  std::string make_database(const std::string& name, const std::string& options = "");
  [[nodiscard]] std::string url(const std::string& database, const std::string& user = "outcrop") const;
  // What psql prints, without decoration.
  std::string sql(const std::string& database, const std::string& statements) const;

 private:
  [[nodiscard]] std::string programs() const;  // the folder of initdb
  [[nodiscard]] std::string as_its_user(const std::string& command) const;

  TemporaryFolder folder_;
};

// Started when it is first asked for.
[[nodiscard]] PostgresServer& shared_postgres();

}  // namespace outcrop::fleet::monitor
