#include "tests/support/test_broker.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "protocol/base/unique_fd.hpp"

namespace outcrop {
namespace {

constexpr const char* mosquitto = "/usr/sbin/mosquitto";

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

// Below those that the kernel gives to connections: one of them could be taken before it is listened at.
std::uint16_t free_port() {
  std::random_device random;
  std::uniform_int_distribution<int> ports(10000, 32000);
  for (int tries = 0; tries < 100; ++tries) {
    const auto port = static_cast<std::uint16_t>(ports(random));
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(port);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return port;
  }
  throw std::runtime_error("no free port");
}

std::string link_local_address() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return "";
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owned(list, ::freeifaddrs);
  for (const ifaddrs* next = list; next != nullptr; next = next->ifa_next) {
    if (next->ifa_addr == nullptr || next->ifa_addr->sa_family != AF_INET6) continue;
    const auto& address = *reinterpret_cast<const sockaddr_in6*>(next->ifa_addr);
    const UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr) ||
        ::bind(fd.get(), next->ifa_addr, sizeof address) != 0) {
      continue;
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
    return std::string(text.data()) + "%" + next->ifa_name;
  }
  return "";
}

bool listens(std::uint16_t port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

TestBroker::TestBroker(const std::string& settings) : settings_(settings) {
  // Between finding a port free and mosquitto's listening on it somebody may take it.
  for (int attempt = 0; attempt < 5; ++attempt) {
    port_ = free_port();
    if (try_start()) return;
  }
  throw std::runtime_error("mosquitto does not start: " + log());
}

TestBroker::~TestBroker() {
  kill();
}

std::string TestBroker::log() const {
  std::ifstream file(folder_.path() / "log");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

transport::SessionOptions TestBroker::session(const std::string& client_id) const {
  transport::SessionOptions options;
  options.port = port_;
  options.client_id = client_id;
  options.first_retry = std::chrono::milliseconds(50);
  options.last_retry = std::chrono::milliseconds(500);
  return options;
}

void TestBroker::kill() {
  if (child_ == 0) return;
  ::kill(child_, SIGKILL);
  ::waitpid(child_, nullptr, 0);
  child_ = 0;
}

void TestBroker::start() {
  // The connections of the one before may hold the port for a moment.
  for (int attempt = 0; attempt < 50; ++attempt) {
    if (try_start()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  throw std::runtime_error("mosquitto does not start again: " + log());
}

void TestBroker::suspend() {
  ::kill(child_, SIGSTOP);
}

void TestBroker::resume() {
  ::kill(child_, SIGCONT);
}

bool TestBroker::try_start() {
  const std::string configuration = folder_.path() / "mosquitto.conf";
  const std::string log_file = folder_.path() / "log";
  std::ofstream(configuration) << "listener " << port_ << " 127.0.0.1\n"
                               << "allow_anonymous true\nset_tcp_nodelay true\n"
                               << "persistence false\nlog_dest stderr\nlog_type all\n"
                               << (::geteuid() == 0 ? "user root\n" : "") << settings_;
  const pid_t parent = ::getpid();
  child_ = ::fork();
  if (child_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    const int file = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(file, STDERR_FILENO);
    ::execl(mosquitto, mosquitto, "-c", configuration.c_str(), nullptr);
    ::_exit(127);
  }
  while (!listens(port_)) {
    if (::waitpid(child_, nullptr, WNOHANG) != 0) {
      child_ = 0;
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace outcrop
