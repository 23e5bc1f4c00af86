#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/messages/earlier_golden.hpp"
#include "protocol/messages/golden_call.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/messages/quality.hpp"
#include "protocol/messages/signature.hpp"

namespace outcrop::messages {

// Fields that several documents share. For the codecs' .cpp files only.

[[nodiscard]] std::string digest_or_empty(const std::optional<trust::Sha256Digest>& digest);

[[nodiscard]] Json blob_to_json(const BlobReference& blob);
[[nodiscard]] BlobReference read_blob(ObjectReader reader);

[[nodiscard]] Json budgets_to_json(const std::vector<Budget>& budgets);
[[nodiscard]] std::vector<Budget> read_budgets(ObjectReader& reader);

[[nodiscard]] Json signature_to_json(const Signature& signature);
[[nodiscard]] Signature read_signature(ObjectReader reader);

// The calls of a golden part, whose key is "calls"; `reader` is that of the part.
[[nodiscard]] Json calls_to_json(const std::vector<GoldenCall>& calls);
[[nodiscard]] std::vector<GoldenCall> read_calls(ObjectReader& reader, const Signature& signature);

// Short texts that a kind of model wants to tell, by name.
[[nodiscard]] std::map<std::string, std::string> read_about(ObjectReader reader);

// What stood for them before protocol 4.
[[nodiscard]] std::string latent_of(const std::map<std::string, std::string>& about);
[[nodiscard]] Json rows_to_json(const RowsGolden& golden);
[[nodiscard]] RowsGolden read_rows(ObjectReader& reader);

[[nodiscard]] Json quality_to_json(const Quality& quality);
[[nodiscard]] Quality read_quality(ObjectReader reader);

}  // namespace outcrop::messages
