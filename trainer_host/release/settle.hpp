#pragma once

#include "protocol/base/error.hpp"
#include "trainer_host/release/key_store.hpp"

namespace outcrop::release {

// New keys wait beside those that they replace (<key>.new) until the document that names them is in place.

// Puts keys that the newest root and targets name into their places, and removes those that nothing names: they come
// from a call that was cut off or dropped. Lists of releases that do not hold any more, by another stage key or
// threshold, are signed anew where their key is here. Not to be called while a request waits.
[[nodiscard]] Status settle_keys(const KeyStorePaths& paths);

// Of rotatable_roles(): whether its key is in offline/, and a person's; else it is in online/, and the host's.
[[nodiscard]] bool is_kept_offline(const std::string& role);
[[nodiscard]] std::filesystem::path role_key_file(const KeyStorePaths& paths, const std::string& role);
[[nodiscard]] std::filesystem::path waiting_key_file(const std::filesystem::path& key);

}  // namespace outcrop::release
