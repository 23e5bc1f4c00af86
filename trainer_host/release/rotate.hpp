#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/release/key_store.hpp"

namespace outcrop::release {

// The roles that can be given new keys. The revoked list is signed with the key of targets.
// root targets snapshot timestamp director
[[nodiscard]] const std::vector<std::string>& rotatable_roles();

// Writes the next root, valid for `expires` from `now`, with new keys for `roles`; without roles it
// is only renewed. Of a role with several keys, the one in offline/<role>.key is replaced, and the threshold stays. Whoever trusts the root before follows to this one, and believes the old keys
// no more. Where targets is among the roles, targets and the revoked list are signed anew. The new
// keys take the places of the old ones, which are deleted. Needs offline/, and online/ for its
// roles; with Missing::request root's signatures may be made elsewhere. A root of a host from before protocol 5 names no director: rotating that role names one,
// and agents from before then do not follow that root.
//
// The new root is what makes it count: cut off before, nothing has changed; cut off after, the
// next call puts the new keys into their places first.
[[nodiscard]] Status rotate_keys(const std::filesystem::path& folder,
                                 const std::vector<std::string>& roles, std::chrono::days expires,
                                 Timestamp now, Missing missing = Missing::refuse);

}  // namespace outcrop::release
