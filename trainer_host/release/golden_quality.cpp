#include "trainer_host/release/golden_quality.hpp"

#include "runtime/engine/tensor_file.hpp"

namespace outcrop::release {

Result<trust::VerifiedBlob> add_quality(const std::vector<runtime::Tensor>& outputs,
                                        const messages::Quality& quality) {
  OUTCROP_TRY(bytes, runtime::encode_tensor_file(
                         outputs, {{messages::quality_metadata_key, to_json(quality)}}));
  return trust::verify_bytes(bytes, trust::sha256(bytes));
}

Result<std::optional<messages::Quality>> quality_in(BytesView golden_output) {
  OUTCROP_TRY(metadata, runtime::decode_tensor_metadata(golden_output));
  const auto found = metadata.find(messages::quality_metadata_key);
  if (found == metadata.end()) return std::optional<messages::Quality>();
  auto quality = messages::parse_quality(found->second);
  if (!quality) return fail(quality.error().context("golden output"));
  return std::optional(std::move(*quality));
}

}  // namespace outcrop::release
