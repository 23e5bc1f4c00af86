#pragma once

#include <optional>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/quality.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "runtime/engine/tensor.hpp"

namespace outcrop::release {

// A release of protocols 1 to 3 tells how good its model is in the metadata of its golden output file (SCHEMA.md,
// "Quality"), which the manifest names by its digest: a new key in the manifest would be refused
// by every board and host of an earlier version, and all of them pass over this.

[[nodiscard]] Result<trust::VerifiedBlob> add_quality(const std::vector<runtime::Tensor>& outputs,
                                                      const messages::Quality& quality);

// Nothing where the file tells none; invalid_data where it is damaged.
[[nodiscard]] Result<std::optional<messages::Quality>> quality_in(BytesView golden_output);

}  // namespace outcrop::release
