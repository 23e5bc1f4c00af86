#include "agent/doctor/tls_handshake.hpp"

#include <openssl/ssl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "protocol/transport/name_lookup.hpp"
#include "protocol/trust/openssl.hpp"

namespace outcrop::agent {
namespace {

using SteadyClock = std::chrono::steady_clock;
using trust::Owned;
using trust::read_only_bio;
using trust::refuse_password;

struct FreeTls {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* tls) const { SSL_free(tls); }
};
using Context = std::unique_ptr<SSL_CTX, FreeTls>;
using Tls = std::unique_ptr<SSL, FreeTls>;

// A broker that refuses a certificate says so after TLS 1.3's handshake is over for the client, and
// one that takes it says nothing that it must.
constexpr std::chrono::milliseconds time_for_a_refusal{1000};

// OpenSSL's reasons for alerts that the other end sent start here (SSL_AD_REASON_OFFSET).
constexpr int first_alert = 1000;

tl::unexpected<BrokerProblem> problem(std::string found, std::string advice) {
  return tl::unexpected(BrokerProblem{std::move(found), std::move(advice)});
}

bool trust_authority(SSL_CTX* context, const std::string& pem) {
  const Owned<BIO> bio = read_only_bio(pem);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  bool some = false;
  while (true) {
    const Owned<X509> one(PEM_read_bio_X509(bio.get(), nullptr, refuse_password, nullptr));
    if (!one) break;
    some = X509_STORE_add_cert(store, one.get()) == 1 || some;
  }
  ERR_clear_error();
  return some;
}

bool show_identity(SSL_CTX* context, const BrokerTarget& target) {
  const Owned<BIO> bio = read_only_bio(target.certificate);
  const Owned<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, refuse_password, nullptr));
  return certificate && SSL_CTX_use_certificate(context, certificate.get()) == 1 &&
         SSL_CTX_use_PrivateKey(context, static_cast<EVP_PKEY*>(target.key.openssl())) == 1;
}

bool expect_name(SSL* tls, const std::string& host) {
  if (transport::is_address(host)) {
    const std::string number = transport::without_zone(host);
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), number.c_str()) == 1;
  }
  return SSL_set_tlsext_host_name(tls, host.c_str()) == 1 && SSL_set1_host(tls, host.c_str()) == 1;
}

tl::unexpected<BrokerProblem> not_believed(long verified, const std::string& host) {
  const std::string words = X509_verify_cert_error_string(verified);
  switch (verified) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return problem("the broker's certificate is out of its time: " + words,
                     "is this board's clock right? If it is, restart outcropd on the host");
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return problem("the broker's certificate does not name " + host + ": " + words,
                     "add it to names in host.toml, or reach the broker by a name that is there");
    default:
      return problem("the broker is vouched for by another authority than this board's: " + words,
                     "is it this fleet's broker? If its authority was made anew, enrol this board "
                     "again");
  }
}

// What a failed call of OpenSSL means. Empties its error queue.
tl::unexpected<BrokerProblem> explain(SSL* tls, int result, const std::string& host) {
  const int system = errno;
  const int kind = SSL_get_error(tls, result);
  const unsigned long code = ERR_peek_error();
  const std::string words = trust::openssl_reason();
  const long verified = SSL_get_verify_result(tls);
  if (verified != X509_V_OK) return not_believed(verified, host);
  if (code != 0 && ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) >= first_alert) {
    return problem("the broker refuses this board's certificate: " + words,
                   "was the board revoked, its certificate issued by another host, or is a clock "
                   "wrong? On the host: outcrop device list; if in doubt enrol it again");
  }
  if (kind == SSL_ERROR_SYSCALL || kind == SSL_ERROR_ZERO_RETURN ||
      ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    return problem(
        "the other end hung up during the TLS handshake" +
            (system != 0 && kind == SSL_ERROR_SYSCALL ? ": " + std::string(std::strerror(system))
                                                      : std::string()),
        "is it outcropd's broker that listens there, and not another service?");
  }
  return problem("no TLS is spoken there: " + words,
                 "is it outcropd's broker that listens there, and not another service?");
}

// Whether to call again. Waits for what the call wants.
bool again(SSL* tls, int socket, int result, SteadyClock::time_point deadline, bool& timed_out) {
  const int kind = SSL_get_error(tls, result);
  if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE) return false;
  timed_out = !wait_for(socket, kind == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline);
  return !timed_out;
}

}  // namespace

bool wait_for(int fd, short event, SteadyClock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now());
    pollfd wanted{fd, event, 0};
    const int ready = ::poll(&wanted, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

tl::expected<std::string, BrokerProblem> shake_hands(int socket, const BrokerTarget& target,
                                                     std::chrono::milliseconds patience) {
  ERR_clear_error();
  const Context context(SSL_CTX_new(TLS_client_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      !trust_authority(context.get(), target.authority) || !show_identity(context.get(), target)) {
    return problem("this board's certificate or its broker's authority cannot be used: " +
                       trust::openssl_reason(),
                   "enrol this board again");
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const Tls tls(SSL_new(context.get()));
  if (!tls || SSL_set_fd(tls.get(), socket) != 1 || !expect_name(tls.get(), target.host)) {
    return problem("TLS cannot begin: " + trust::openssl_reason(),
                   "is " + target.host + " the name of a host?");
  }
  bool timed_out = false;
  auto deadline = SteadyClock::now() + patience;
  int result = 0;
  while ((errno = 0, result = SSL_connect(tls.get())) != 1) {
    if (again(tls.get(), socket, result, deadline, timed_out)) continue;
    if (!timed_out) return explain(tls.get(), result, target.host);
    return problem("connected, but no TLS handshake within the time",
                   "does the broker hang? On the host: systemctl restart outcropd");
  }
  deadline = SteadyClock::now() + std::min(patience, time_for_a_refusal);
  char byte = 0;
  while ((errno = 0, result = SSL_read(tls.get(), &byte, 1)) != 1) {
    if (again(tls.get(), socket, result, deadline, timed_out)) continue;
    if (!timed_out) return explain(tls.get(), result, target.host);
    break;  // silence: it waits for MQTT
  }
  const std::string version = SSL_get_version(tls.get());
  SSL_shutdown(tls.get());
  ERR_clear_error();
  return version;
}

}  // namespace outcrop::agent
