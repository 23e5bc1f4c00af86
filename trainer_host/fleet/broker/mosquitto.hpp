#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>

#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop::fleet {

// The mosquitto program as a child of the thread that started it: the kernel kills it when that
// thread ends, however it ends. Its output goes to `log`, behind what is there.
class Mosquitto {
 public:
  // Waits until it listens at `address`:`port`. Errors: not_found (no such program), crashed
  // (its last words), timeout.
  [[nodiscard]] static Result<Mosquitto> start(const std::filesystem::path& program,
                                               const std::filesystem::path& configuration,
                                               const std::filesystem::path& log,
                                               const std::string& address, std::uint16_t port);
  Mosquitto(Mosquitto&& other) noexcept;
  Mosquitto& operator=(Mosquitto&& other) noexcept;
  Mosquitto(const Mosquitto&) = delete;
  Mosquitto& operator=(const Mosquitto&) = delete;
  ~Mosquitto();  // asks it to end, and insists after two seconds

  [[nodiscard]] pid_t id() const { return id_; }
  // Readable once it has ended: another descriptor for it, the caller's own.
  [[nodiscard]] Result<UniqueFd> end_descriptor() const;
  // At once, without asking: it may not be able to hear.
  void kill() const;
  // Reads certificates, lists of revoked ones, and access rules again.
  void reload() const;

 private:
  explicit Mosquitto(pid_t id) : id_(id) {}
  [[nodiscard]] bool ended(std::chrono::milliseconds patience);

  pid_t id_;  // 0: moved from, or reaped
};

// not_found, saying what to do, where no program can be started.
[[nodiscard]] Status check_program(const std::filesystem::path& program);

// already_exists where another program listens there; invalid_argument for what is no address.
// `port` 0 asks for any; returns the port that was free.
[[nodiscard]] Result<std::uint16_t> check_port_free(const std::string& address, std::uint16_t port);

}  // namespace outcrop::fleet
