#include <exception>

#include "platform/http/connection_on.hpp"
#include "platform/http/server_on.hpp"

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace outcrop::http {

using asio::ip::tcp;
using Secure = asio::ssl::stream<Plain>;

namespace {

// Who has none is served as well; one that does not hold ends the handshake.
Status ask_for_certificates(asio::ssl::context& context, const std::filesystem::path& authority) {
  boost::system::error_code error;
  context.load_verify_file(authority.string(), error);
  STACK_OF(X509_NAME)* const names = error ? nullptr : SSL_load_client_CA_file(authority.c_str());
  if (names == nullptr) {
    return fail(ErrorCode::invalid_data, "the authority of clients' certificates " + authority.string() +
                                             " is no certificate in PEM");
  }
  SSL_CTX_set_client_CA_list(context.native_handle(), names);
  context.set_verify_mode(asio::ssl::verify_peer);
  // Else no session of a client with a certificate could be resumed.
  constexpr std::string_view sessions = "outcrop";
  SSL_CTX_set_session_id_context(context.native_handle(), reinterpret_cast<const unsigned char*>(sessions.data()),
                                 static_cast<unsigned>(sessions.size()));
  return {};
}

Result<std::shared_ptr<asio::ssl::context>> tls_of(const TcpOptions::Tls& files) {
  try {
    auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
    context->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1 |
                         asio::ssl::context::no_sslv3);
    context->use_certificate_chain_file(files.certificate.string());
    context->use_private_key_file(files.key.string(), asio::ssl::context::pem);
    if (files.client_authority) {
      OUTCROP_CHECK(ask_for_certificates(*context, *files.client_authority));
    }
    return context;
  } catch (const boost::system::system_error& error) {
    return fail(ErrorCode::invalid_data, "certificate " + files.certificate.string() + " with key " +
                                             files.key.string() + ": " + error.code().message() +
                                             "; both must be PEM, and of each other");
  }
}

}  // namespace

std::string certificate_of(ssl_st* connection) {
  const X509* const certificate = SSL_get0_peer_certificate(connection);
  if (certificate == nullptr || SSL_get_verify_result(connection) != X509_V_OK) return "";
  X509_NAME* const subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return "";  // several: whose?
  unsigned char* text = nullptr;
  const int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (length < 0) return "";
  const std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(length));
  OPENSSL_free(text);
  return name;
}

Peer peer_of(tcp::socket& socket) {
  boost::system::error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  socket.set_option(tcp::no_delay(true), error);
  return {UINT32_MAX, error ? "an address that is gone" : endpoint.address().to_string()};
}

Result<Server> Server::listen_tcp(asio::any_io_executor executor, const TcpOptions& options,
                                  Handler handler) {
  const std::string what = "serving " + options.address + ":" + std::to_string(options.port);
  boost::system::error_code error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) return fail(ErrorCode::invalid_argument, "'" + options.address + "' is no address");
  if (!options.tls && !address.is_loopback()) {
    return fail(ErrorCode::refused, what + ": in plain only this machine is served (127.0.0.1); "
                                           "another address needs a certificate and its key");
  }
  ServerRules rules{options.longest_body, std::move(handler), options.admit, std::make_shared<Room>(executor, options.room)};
  if (options.tls) {
    OUTCROP_TRY(tls, tls_of(*options.tls));
    rules.connect = [tls = std::move(tls)](AnySocket socket, Peer peer,
                                           std::shared_ptr<const ServerRules> shared) {
      return std::make_shared<ConnectionOn<Secure>>(std::move(socket), std::move(peer),
                                                    std::move(shared), *tls);
    };
  } else {
    rules.connect = [](AnySocket socket, Peer peer, std::shared_ptr<const ServerRules> shared) {
      return std::make_shared<ConnectionOn<Plain>>(std::move(socket), std::move(peer),
                                                   std::move(shared));
    };
  }
  try {
    const tcp::endpoint endpoint(address, options.port);
    tcp::acceptor acceptor(executor, endpoint, /*reuse_addr=*/true);
    return Server(start_server(executor, acceptor.release(), endpoint.protocol(), std::nullopt,
                               std::move(rules)));
  } catch (const boost::system::system_error& problem) {
    return fail(ErrorCode::refused, what + ": " + problem.code().message());
  }
}

}  // namespace outcrop::http
