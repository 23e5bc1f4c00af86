#include <exception>

#include "platform/http/connection_on.hpp"
#include "platform/http/server_on.hpp"

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

namespace outcrop::http {

using asio::ip::tcp;
using Secure = asio::ssl::stream<Plain>;

namespace {

Result<std::shared_ptr<asio::ssl::context>> tls_of(const TcpOptions::Tls& files) {
  try {
    auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
    context->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1 |
                         asio::ssl::context::no_sslv3);
    context->use_certificate_chain_file(files.certificate.string());
    context->use_private_key_file(files.key.string(), asio::ssl::context::pem);
    return context;
  } catch (const boost::system::system_error& error) {
    return fail(ErrorCode::invalid_data, "certificate " + files.certificate.string() + " with key " +
                                             files.key.string() + ": " + error.code().message() +
                                             "; both must be PEM, and of each other");
  }
}

}  // namespace

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
  ServerRules rules{options.longest_body, std::move(handler)};
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
