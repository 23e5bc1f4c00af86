#include "bench/hostile/intruder.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cstring>

namespace outcrop::bench {
namespace {

constexpr timeval longest_wait{0, 200'000};  // then whether it is over is looked at

struct FreeTls {
  void operator()(SSL* ssl) const { ::SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
};

bool again(SSL* ssl, int result) {
  const int why = ::SSL_get_error(ssl, result);
  ERR_clear_error();
  return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

}  // namespace

UniqueFd knock(std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  return fd;
}

UniqueFd knock(const std::filesystem::path& socket) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
  if (fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  return fd;
}

struct Intruder::Tls {
  std::unique_ptr<SSL_CTX, FreeTls> context{::SSL_CTX_new(::TLS_client_method())};
  UniqueFd fd;
  std::unique_ptr<SSL, FreeTls> ssl;
};

Intruder::Intruder(const Door& door, const Identity& identity) : tls_(std::make_unique<Tls>()), door_(door), identity_(identity) {
  ::SSL_CTX_load_verify_locations(tls_->context.get(), door_.authority.c_str(), nullptr);
  ::SSL_CTX_set_mode(tls_->context.get(), SSL_MODE_AUTO_RETRY | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

Intruder::~Intruder() = default;

void Intruder::close() {
  tls_->ssl.reset();
  tls_->fd = {};
}

bool Intruder::connect(Time end) {
  close();
  tls_->fd = knock(door_.port);
  if (!tls_->fd) return false;
  ::setsockopt(tls_->fd.get(), SOL_SOCKET, SO_RCVTIMEO, &longest_wait, sizeof longest_wait);
  ::setsockopt(tls_->fd.get(), SOL_SOCKET, SO_SNDTIMEO, &longest_wait, sizeof longest_wait);
  tls_->ssl.reset(::SSL_new(tls_->context.get()));
  SSL* ssl = tls_->ssl.get();
  identity_.prove_by(ssl);
  ::SSL_set_fd(ssl, tls_->fd.get());
  int done = 0;
  while ((done = ::SSL_connect(ssl)) != 1 && again(ssl, done) && std::chrono::steady_clock::now() < end) {}
  if (done != 1 || !send(mqtt::connect({identity_.name, std::chrono::seconds(60), {"outcrop/v1/d/" + identity_.name + "/status", "", false}}), end)) {
    return false;
  }
  std::array<char, 256> answer{};
  for (int got = 0; got <= 0;) {
    got = ::SSL_read(ssl, answer.data(), answer.size());
    if (got > 0) return static_cast<unsigned char>(answer[0]) >> 4 == 2 && answer[3] == 0;
    if (!again(ssl, got) || std::chrono::steady_clock::now() > end) return false;
  }
  return false;
}

bool Intruder::send(const std::string& packet, Time end) {
  SSL* ssl = tls_->ssl.get();
  for (std::size_t at = 0; ssl != nullptr && at < packet.size();) {
    const int put = ::SSL_write(ssl, packet.data() + at, static_cast<int>(packet.size() - at));
    if (put > 0) {
      at += static_cast<std::size_t>(put);
    } else if (!again(ssl, put) || std::chrono::steady_clock::now() > end) {
      return false;
    }
  }
  return ssl != nullptr;
}

bool Intruder::drain() {
  std::array<char, 16 * 1024> piece{};
  while (tls_->ssl) {
    pollfd ready{tls_->fd.get(), POLLIN, 0};
    if (::SSL_pending(tls_->ssl.get()) == 0 && ::poll(&ready, 1, 0) <= 0) return true;
    const int got = ::SSL_read(tls_->ssl.get(), piece.data(), piece.size());
    if (got <= 0) return again(tls_->ssl.get(), got);
  }
  return false;
}

}  // namespace outcrop::bench
