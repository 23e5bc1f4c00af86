#include "platform/http/connection_on.hpp"
#include "platform/http/target.hpp"

namespace outcrop::http {
namespace {

std::string lower(std::string_view name) {
  std::string text(name);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

std::optional<Request> head_of(const Parser::value_type& message, const Peer& peer, bool secure) {
  const auto target = message.target();
  auto parsed = parse_target({target.data(), target.size()});
  if (!parsed) return std::nullopt;
  Request request;
  const bool head = message.method() == wire::verb::head;
  request.method = head ? "GET" : std::string(message.method_string());
  request.path = std::move(parsed->path);
  request.query = std::move(parsed->query);
  request.content_type = std::string(message[wire::field::content_type]);
  for (const auto& field : message) {
    const auto name = field.name_string();
    request.headers.emplace(lower({name.data(), name.size()}), std::string(field.value()));
  }
  request.peer_uid = peer.uid;
  request.address = peer.address;
  request.certificate = peer.certificate;
  request.secure = secure;
  return request;
}

Response too_long(ByteCount longest_body) {
  return error_response(Error(ErrorCode::invalid_argument, "the body is above the " + longest_body.human() + " allowed"), 413);
}

Response no_room(const std::string& for_what) {
  Response response = error_response(Error(ErrorCode::timeout, "too much is under way here for " + for_what + "; ask again in a moment"));
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

std::uint64_t size_of(const Response& response) {
  std::uint64_t size = response.body.size();
  for (const Bytes& part : response.parts) size += part.size();
  return size;
}

std::optional<Response> refusal(const boost::system::error_code& error, ByteCount longest_body) {
  if (error == wire::error::body_limit) return too_long(longest_body);
  if (error == wire::error::end_of_stream || error == wire::error::partial_message ||
      error.category() != wire::make_error_code(wire::error::bad_target).category()) {
    return std::nullopt;
  }
  return error_response(Error(ErrorCode::invalid_data, "not HTTP/1.1: " + error.message()));
}

}  // namespace outcrop::http
