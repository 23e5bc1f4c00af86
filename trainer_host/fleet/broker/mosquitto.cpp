#include "trainer_host/fleet/broker/mosquitto.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#include "protocol/base/bytes.hpp"

namespace outcrop::fleet {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds start_patience{10'000};
constexpr milliseconds stop_patience{2'000};
constexpr std::size_t last_words_size = 1024;

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Result<Addresses> parse_address(const std::string& address, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    return fail(ErrorCode::invalid_argument,
                "'" + address + "' is no IP address to listen at; 127.0.0.1 or 0.0.0.0, say");
  }
  return Addresses(found);
}

UniqueFd socket_for(const addrinfo& address) {
  return UniqueFd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

bool listens(const addrinfo& address) {
  const UniqueFd fd = socket_for(address);
  return ::connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0;
}

std::string last_words(const fs::path& log) {
  std::ifstream file(log);
  std::ostringstream all;
  all << file.rdbuf();
  std::string text = all.str();
  if (text.size() > last_words_size) text.erase(0, text.size() - last_words_size);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' && c != '\n'; }, '?');
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.empty() ? "it said nothing" : text;
}

[[noreturn]] void become(const char* program, const char* configuration, int output, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(126);
  // Where memory runs out, the kernel ends the broker, which comes back, before the host.
  const int score = ::open("/proc/self/oom_score_adj", O_WRONLY);
  if (score >= 0) {
    constexpr std::string_view first = "900";
    [[maybe_unused]] const ssize_t written = ::write(score, first.data(), first.size());
    ::close(score);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::syscall(SYS_close_range, 3U, ~0U, 0U);
  ::execl(program, program, "-c", configuration, static_cast<char*>(nullptr));
  ::_exit(127);
}

}  // namespace

Result<Mosquitto> Mosquitto::start(const fs::path& program, const fs::path& configuration,
                                   const fs::path& log, const std::string& address,
                                   std::uint16_t port) {
  OUTCROP_CHECK(check_program(program));
  OUTCROP_TRY(where, parse_address(address, port));
  const UniqueFd output(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!output) return fail(Error::from_errno("opening " + log.string()));
  const std::string program_name = program;
  const std::string configuration_name = configuration;
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return fail(Error::from_errno("starting " + program_name));
  if (child == 0) become(program_name.c_str(), configuration_name.c_str(), output.get(), parent);
  Mosquitto mosquitto(child);
  const auto end = Clock::now() + start_patience;
  while (!listens(*where)) {
    if (mosquitto.ended(milliseconds(10))) {
      return fail(ErrorCode::crashed, program_name + " ended at its start: " + last_words(log));
    }
    if (Clock::now() > end) {
      return fail(ErrorCode::timeout, program_name + " does not listen at " + address + " port " +
                                          std::to_string(port) + ": " + last_words(log));
    }
  }
  return mosquitto;
}

Mosquitto::Mosquitto(Mosquitto&& other) noexcept : id_(std::exchange(other.id_, 0)) {}

Mosquitto& Mosquitto::operator=(Mosquitto&& other) noexcept {
  std::swap(id_, other.id_);
  return *this;
}

Mosquitto::~Mosquitto() {
  if (id_ == 0) return;
  ::kill(id_, SIGTERM);
  if (ended(stop_patience)) return;
  ::kill(id_, SIGKILL);
  ::waitpid(id_, nullptr, 0);
}

Result<UniqueFd> Mosquitto::end_descriptor() const {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, id_, 0)));
  if (!fd) return fail(Error::from_errno("watching the broker"));
  return fd;
}

void Mosquitto::kill() const {
  if (id_ != 0) ::kill(id_, SIGKILL);
}

void Mosquitto::reload() const {
  if (id_ != 0) ::kill(id_, SIGHUP);
}

bool Mosquitto::ended(milliseconds patience) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, id_, 0)));
  pollfd wait{.fd = fd.get(), .events = POLLIN, .revents = 0};
  ::poll(&wait, 1, static_cast<int>(patience.count()));
  if (::waitpid(id_, nullptr, WNOHANG) == 0) return false;
  id_ = 0;
  return true;
}

Status check_program(const fs::path& program) {
  if (::access(program.c_str(), X_OK) == 0) return {};
  return fail(ErrorCode::not_found, "no MQTT broker at " + program.string() +
                                        ": install Debian's package mosquitto, or name another "
                                        "broker in [broker] external");
}

Result<std::uint16_t> check_port_free(const std::string& address, std::uint16_t port) {
  OUTCROP_TRY(where, parse_address(address, port));
  const UniqueFd fd = socket_for(*where);
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), where->ai_addr, where->ai_addrlen) != 0) {
    const std::string place = address + " port " + std::to_string(port);
    if (errno == EADDRINUSE) {
      return fail(ErrorCode::already_exists, "another program listens at " + place +
                                                 "; end it, or choose another [broker] port");
    }
    return fail(Error::from_errno("listening at " + place));
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &length);
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(bound);
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(bound);
  return ntohs(bound.ss_family == AF_INET ? v4.sin_port : v6.sin6_port);
}

}  // namespace outcrop::fleet
