#include "trainer_host/fleet/picture/hosts_own.hpp"

#include <algorithm>

#include "protocol/trust/verified_blob.hpp"
#include "runtime/engine/tensor_file.hpp"

namespace outcrop::fleet {
namespace {

constexpr ByteCount golden_limit = ByteCount::mib(64);

// The tensor alone: golden files hold those of 64 calls.
Result<runtime::Tensor> tensor_in(BytesView file, const messages::TensorReference& reference) {
  OUTCROP_TRY(tensors, runtime::view_tensor_file(file));
  for (const runtime::TensorView& view : tensors) {
    if (view.name != reference.tensor) continue;
    runtime::Tensor tensor{view.name, view.dtype, view.shape, Bytes(view.data.begin(), view.data.end())};
    if (!reference.row) return tensor;
    if (tensor.shape.empty() || *reference.row < 0 || *reference.row >= tensor.shape[0]) break;
    return tensor.row(*reference.row);
  }
  return fail(ErrorCode::invalid_data, "the golden outputs hold no '" + reference.tensor + "' of the first call");
}

}  // namespace

Result<HostsOwn> hosts_own(const BlobStore& blobs, const trust::Sha256Digest& manifest) {
  OUTCROP_TRY(bytes, blobs.read(manifest, messages::manifest_limit));
  OUTCROP_TRY(verified, trust::verify_bytes(bytes, manifest));
  OUTCROP_TRY(release, messages::parse_manifest(verified));
  const messages::GoldenCall& call = release.golden.calls.front();
  const messages::Output& output = release.signature.method(call.method)->outputs.front();
  OUTCROP_TRY(file, blobs.read(release.golden.output.sha256, golden_limit));
  OUTCROP_TRY(tensor, tensor_in(file, call.outputs.front()));
  OUTCROP_TRY(map, runtime::first_map(output, tensor));
  HostsOwn own{output.name, output.type.unit, output.score == messages::Score::label, std::move(map), 0, 0, {}};
  const auto [min, max] = std::minmax_element(own.map.values.begin(), own.map.values.end());
  own.min = *min;
  own.max = *max;
  for (const messages::Variant& variant : release.variants) {
    for (const messages::OutputTolerance& one : variant.tolerance) {
      if (one.output == output.name) own.allowed.emplace(variant.name, one);
    }
  }
  return own;
}

}  // namespace outcrop::fleet
