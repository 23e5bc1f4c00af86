#include "agent/control/brought.hpp"

#include <map>

#include "agent/pull/partial_file.hpp"
#include "protocol/base/number.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::agent {
namespace {

using messages::ObjectReader;

constexpr std::size_t most_roles = 1024;  // roots, nearly all
constexpr ByteCount longest_metadata = ByteCount::mib(64);
constexpr ByteCount longest_piece = ByteCount::mib(1);
constexpr std::uint64_t longest_soak = 30ULL * 24 * 3600;
constexpr std::string_view blobs = "/v1/blobs/";

struct Brought {
  trust::Sha256Digest manifest;
  std::map<std::string, std::string> envelopes;  // by role
};

Result<Brought> read_brought(const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, longest_metadata, "body"));
  ObjectReader reader(json, "body");
  Brought brought;
  brought.manifest = reader.digest("manifest");
  ObjectReader roles = reader.object("metadata");
  for (const std::string& role : roles.keys(most_roles)) {
    brought.envelopes[role] = roles.lines(role, trust::envelope_limit.value());
  }
  roles.done();
  reader.done();
  OUTCROP_CHECK(reader.status());
  return brought;
}

// Older documents than those here, and those of other roots, count for nothing and do no harm: whether the release may be installed
// is all that matters.
Status take_metadata(const ControlParts& parts, const std::string& body) {
  OUTCROP_CHECK(parts.deployer.may_install());
  OUTCROP_TRY(brought, read_brought(body));
  std::string left_aside;
  for (const auto& [role, envelope] : brought.envelopes) {
    const Status taken = parts.accept(role, envelope);
    if (!taken) left_aside += "; of what was brought does not count " + role + ": " + taken.error().message();
  }
  const auto permitted = parts.metadata.check_install(brought.manifest, 0);
  if (permitted) return {};
  return fail(permitted.error().code(), "release " + brought.manifest.short_hex() + " may not be installed: " +
                                            permitted.error().message() + left_aside);
}

Result<std::uint64_t> number(const http::Request& request, const std::string& name) {
  const auto found = request.query.find(name);
  const auto value = found == request.query.end() ? std::nullopt : read_number<std::uint64_t>(found->second);
  if (value) return *value;
  return fail(ErrorCode::invalid_argument, "the query must say " + name + "=BYTES");
}

// Whether all of the blob is here already, verified.
Result<bool> take_piece(const ControlParts& parts, const http::Request& request) {
  OUTCROP_CHECK(parts.deployer.may_install());
  OUTCROP_TRY(digest, trust::Sha256Digest::from_hex(request.path.substr(blobs.size())));
  OUTCROP_TRY(size, number(request, "size"));
  OUTCROP_TRY(offset, number(request, "offset"));
  const std::uint64_t length = request.body.size();
  if (length > longest_piece.value() || offset > size || length > size - offset) {
    return fail(ErrorCode::invalid_argument, "a piece of " + std::to_string(length) + " bytes at " + std::to_string(offset) +
                                                 " of " + std::to_string(size) + ": it must lie within them and have at most " +
                                                 longest_piece.human());
  }
  if (parts.slots.has(digest)) return true;
  OUTCROP_CHECK(parts.slots.reserve(ByteCount(length)));
  OUTCROP_TRY(file, PartialFile::open(parts.slots.partial_file(digest), ByteCount(size)));
  OUTCROP_CHECK(file.write(ByteCount(offset), as_bytes(request.body)));
  return false;
}

http::Response answer(const Result<bool>& here) {
  if (!here) return http::error_response(here.error());
  http::Response response;
  response.body = *here ? "{\"here\":true}\n" : "{\"here\":false}\n";
  return response;
}

}  // namespace

std::optional<http::Response> take_brought(const ControlParts& parts, const http::Request& request) {
  if (request.method == "POST" && request.path == "/v1/metadata") {
    const Status taken = take_metadata(parts, request.body);
    return taken ? http::Response{.body = "{}\n"} : http::error_response(taken.error());
  }
  if (request.method == "PUT" && request.path.starts_with(blobs)) return answer(take_piece(parts, request));
  return std::nullopt;
}

Result<InstallWish> read_install_wish(const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, ByteCount::kib(1), "body"));
  ObjectReader reader(json, "body");
  InstallWish wish;
  wish.manifest = reader.digest("manifest");
  if (reader.has("soak_seconds")) wish.soak = std::chrono::seconds(reader.integer("soak_seconds", 0, longest_soak));
  reader.done();
  OUTCROP_CHECK(reader.status());
  return wish;
}

}  // namespace outcrop::agent
