#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "protocol/transport/session.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop {

// A real mosquitto without TLS on a free port of 127.0.0.1, with its own folder; it dies with the
// test. Throws std::runtime_error where it cannot start.
class TestBroker {
 public:
  // `settings`: further lines of mosquitto.conf, e.g. "acl_file /x\n".
  explicit TestBroker(const std::string& settings = "");
  TestBroker(const TestBroker&) = delete;
  TestBroker& operator=(const TestBroker&) = delete;
  ~TestBroker();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] pid_t process_id() const { return child_; }
  [[nodiscard]] std::string log() const;
  // How a client without TLS connects; it comes back within 50 to 500 ms.
  [[nodiscard]] transport::SessionOptions session(const std::string& client_id) const;

  void kill();     // SIGKILL; the port is kept for restart()
  void start();    // on the same port, with empty memory
  void suspend();  // SIGSTOP: a broker that hangs
  void resume();   // SIGCONT

 private:
  [[nodiscard]] bool try_start();

  TemporaryFolder folder_;
  std::string settings_;
  std::uint16_t port_ = 0;
  pid_t child_ = 0;
};

// A TCP port of 127.0.0.1 that nobody has at the moment.
[[nodiscard]] std::uint16_t free_port();
// A link-local address of this machine with its zone, "fe80::5%eth0"; "" where it has none. What is
// sent to one's own address stays in the machine.
[[nodiscard]] std::string link_local_address();
// Whether somebody listens there.
[[nodiscard]] bool listens(std::uint16_t port);

}  // namespace outcrop
