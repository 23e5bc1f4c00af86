#include "agent/control/text_question.hpp"

#include "protocol/messages/text_input.hpp"
#include "runtime/engine/tensor_file.hpp"

namespace outcrop::agent {
namespace {

Result<std::string> text_input_of(const ControlParts& parts) {
  const auto active = parts.slots.serving();
  if (!active) return fail(ErrorCode::not_found, "no release serves on this board yet");
  OUTCROP_TRY(manifest, parts.slots.manifest(active->manifest, active->manifest_size));
  OUTCROP_TRY(goldens, parts.slots.blob(manifest.golden.input.sha256, manifest.golden.input.size));
  OUTCROP_TRY(metadata, runtime::decode_tensor_metadata(goldens.bytes()));
  const auto found = metadata.find(messages::text_metadata_key);
  if (found == metadata.end()) {
    return fail(ErrorCode::invalid_argument, "what serves takes no texts: it is asked by its inputs (infer --in)");
  }
  OUTCROP_TRY(text, messages::parse_text_input(found->second));
  return R"({"manifest":")" + active->manifest.hex() + R"(","text":)" + messages::to_json(text) + "}\n";
}

}  // namespace

http::Response tell_text_input(const ControlParts& parts) {
  auto told = text_input_of(parts);
  if (!told) return http::error_response(told.error());
  http::Response response;
  response.body = std::move(*told);
  return response;
}

}  // namespace outcrop::agent
