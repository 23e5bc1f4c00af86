#include "agent/verify/commands.hpp"

#include <optional>

#include <spdlog/spdlog.h>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::agent {
namespace {

constexpr std::uint64_t authority_format = 1;
constexpr ByteCount authority_limit = ByteCount::kib(4);

// Nothing where there is none, or where it is damaged: then there is nothing to compare with.
std::optional<trust::Sha256Digest> read_authority(const std::filesystem::path& file) {
  const auto text = read_text_file(file, authority_limit);
  if (!text) return std::nullopt;
  const auto json = messages::parse_object(*text, authority_limit, "commands.json");
  if (!json) return std::nullopt;
  messages::ObjectReader reader(*json, "commands.json");
  (void)reader.integer("format", 1);
  const trust::Sha256Digest counted = reader.digest("counted_under");
  return reader.ok() ? std::optional(counted) : std::nullopt;
}

}  // namespace

Result<messages::Command> read_command(const MetadataStore& metadata, std::string_view device,
                                       std::string_view payload) {
  const auto director = metadata.director();
  if (!director) return messages::parse_command(payload);
  auto verified = trust::verify_envelope(payload, messages::command_kind, *director);
  if (!verified) {
    if (messages::parse_command(payload)) {
      return fail(ErrorCode::untrusted,
                  "nobody signed it, and root " + std::to_string(metadata.root_version()) +
                      " names a director, who signs what the host says");
    }
    return fail(std::move(verified).error());
  }
  OUTCROP_TRY(command, messages::parse_signed_command(verified->bytes()));
  if (command.device != device) {
    return fail(ErrorCode::untrusted, "it is for the board '" + command.device + "'");
  }
  if (const Timestamp now = metadata.now(); now >= command.expires) {
    return fail(ErrorCode::expired, "it expired on " + to_rfc3339(command.expires) + "; it is " +
                                        to_rfc3339(now));
  }
  return std::move(command.command);
}

CommandAuthority::CommandAuthority(std::filesystem::path file, std::string_view enrolment,
                                   const MetadataStore& metadata)
    : file_(std::move(file)), enrolment_(trust::sha256(enrolment).hex()), metadata_(metadata) {
  if (const auto counted = read_authority(file_)) {
    counted_ = *counted;
  } else {
    settle();
  }
}

trust::Sha256Digest CommandAuthority::now() const {
  std::string text = enrolment_;
  if (const auto director = metadata_.director()) {
    text += " " + std::to_string(director->threshold);
    for (const auto& [id, key] : director->keys) text += " " + id.hex();  // in order
  }
  return trust::sha256(text);
}

bool CommandAuthority::is_new() const {
  return counted_ != now();
}

void CommandAuthority::settle() {
  counted_ = now();
  const messages::Json json{{"format", authority_format}, {"counted_under", counted_.hex()}};
  // Where it cannot be written, the next start comes to the same.
  if (const Status written = write_file_durably(file_, json_text(json) + "\n"); !written) {
    spdlog::warn("{}", written.error().message());
  }
}

}  // namespace outcrop::agent
