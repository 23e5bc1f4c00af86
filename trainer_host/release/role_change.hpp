#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "protocol/base/error.hpp"
#include "protocol/trust/roles.hpp"
#include "trainer_host/release/key_store.hpp"

namespace outcrop::release {

// Whose signatures a role asks for, and how many of them. Roles: root, targets, revoked (signed by the keys of targets at
// first, with a threshold of its own) and stage-<model>. The roles that the host signs by itself have one key each.
//
// The next root (for a stage role: the next targets), valid as long as the one before. What does not hold under it any
// more is signed anew with it; a model's list as well, which may leave a request of its own.

inline constexpr std::uint64_t highest_threshold = 8;

// Errors: invalid_argument for a threshold above the number of keys, another role, or where nothing would change.
[[nodiscard]] Status set_threshold(const std::filesystem::path& folder, const std::string& role, std::uint64_t threshold,
                                   Missing missing);
// Errors: already_exists where the role has the key.
[[nodiscard]] Status add_key(const std::filesystem::path& folder, const std::string& role, const trust::PublicKey& key,
                             Missing missing);
// Errors: not_found where the role has no such key; refused where fewer keys than the threshold would be left.
[[nodiscard]] Status remove_key(const std::filesystem::path& folder, const std::string& role, const trust::KeyId& key,
                                Missing missing);

void drop_keys_without_a_role(trust::RootMetadata& root);
void drop_keys_without_a_role(trust::TargetsMetadata& targets);

}  // namespace outcrop::release
