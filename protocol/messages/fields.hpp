#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/messages/quality.hpp"

namespace outcrop::messages {

// Fields that several documents share. For the codecs' .cpp files only.

[[nodiscard]] std::string digest_or_empty(const std::optional<trust::Sha256Digest>& digest);

[[nodiscard]] Json blob_to_json(const BlobReference& blob);
[[nodiscard]] BlobReference read_blob(ObjectReader reader);

[[nodiscard]] Json budgets_to_json(const std::vector<Budget>& budgets);
[[nodiscard]] std::vector<Budget> read_budgets(ObjectReader& reader);

[[nodiscard]] Json quality_to_json(const Quality& quality);
[[nodiscard]] Quality read_quality(ObjectReader reader);

}  // namespace outcrop::messages
