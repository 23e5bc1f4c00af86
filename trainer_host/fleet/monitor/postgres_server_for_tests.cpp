#include "trainer_host/fleet/monitor/postgres_server_for_tests.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tests/support/shell.hpp"
#include "trainer_host/fleet/monitor/store.hpp"

namespace outcrop::fleet::monitor {
namespace {

namespace fs = std::filesystem;

// Of the newest version; Debian keeps them off the path.
std::string folder_of_programs() {
  std::string found;
  std::error_code error;
  for (fs::directory_iterator version("/usr/lib/postgresql", error), end; !error && version != end; version.increment(error)) {
    const fs::path bin = version->path() / "bin";
    if (fs::exists(bin / "initdb")) found = std::max(found, bin.string());
  }
  return found;
}

}  // namespace

bool PostgresServer::is_here() {
  return has_postgres() && !folder_of_programs().empty();
}

std::string PostgresServer::programs() const {
  return folder_of_programs();
}

std::string PostgresServer::as_its_user(const std::string& command) const {
  const std::string here = "cd " + folder_.path().string() + " && ";
  return here + (::getuid() == 0 ? "setpriv --reuid=postgres --regid=postgres --clear-groups " : "") + command;
}

PostgresServer::PostgresServer() {
  const std::string folder = folder_.path().string();
  if (::getuid() == 0) {
    EXPECT_EQ(run_shell("chown postgres: " + folder).code, 0);
  }
  const ShellOutcome made = run_shell(
      as_its_user(programs() + "/initdb -D " + folder + "/data -A trust -U outcrop -E UTF8 --locale=C --no-sync"));
  EXPECT_EQ(made.code, 0) << made.output;
  start();
}

PostgresServer::~PostgresServer() {
  stop();
}

// It ends by itself where nobody ends it.
void PostgresServer::start() {
  const std::string folder = folder_.path().string();
  const ShellOutcome started = run_shell(as_its_user(
      "timeout 900 " + programs() + "/postgres -D " + folder + "/data -c listen_addresses= -c unix_socket_directories=" + folder +
      " -c fsync=off -c max_connections=40 -c shared_buffers=16MB > " + folder + "/log 2>&1 & for i in $(seq 300); do " +
      programs() + "/pg_isready -q -h " + folder + " && exit 0; sleep 0.1; done; tail -n 20 " + folder + "/log; exit 1"));
  EXPECT_EQ(started.code, 0) << started.output;
}

void PostgresServer::stop() {
  (void)run_shell(as_its_user(programs() + "/pg_ctl -D " + folder_.path().string() + "/data -m immediate -w stop"));
}

std::string PostgresServer::make_database(const std::string& name, const std::string& options) {
  sql("postgres", "CREATE DATABASE " + name + " TEMPLATE template0 " + options);
  return url(name);
}

std::string PostgresServer::url(const std::string& database, const std::string& user) const {
  return "postgresql:///" + database + "?host=" + folder_.path().string() + "&user=" + user;
}

std::string PostgresServer::sql(const std::string& database, const std::string& statements) const {
  const ShellOutcome done =
      run_shell(programs() + "/psql -qAtX -v ON_ERROR_STOP=1 '" + url(database) + "' -c \"" + statements + "\"");
  EXPECT_EQ(done.code, 0) << done.output;
  return done.output;
}

PostgresServer& shared_postgres() {
  static PostgresServer server;
  return server;
}

}  // namespace outcrop::fleet::monitor
