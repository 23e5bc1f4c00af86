#pragma once

#include <string>
#include <string_view>
#include <vector>
#include <string_view>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/pki/authority.hpp"

namespace outcrop::pki {

// The certificates that the device authority gave to boards, kept beside it:
// <folder>/devices/<name>/<serial>.pem, written before they are handed out, so that every one of
// them can be revoked.

// The board's certificate: the one that this key has for this name already, else a new one. revoked
// where the key was revoked under this name: a board that comes back makes a new key.
[[nodiscard]] Result<std::string> device_certificate(const Authority& authority,
                                                     const std::string& device,
                                                     const trust::PublicKey& key);

// Keeps, before the board is told, that `next`, which was given to it, is to take the place of `present`:
// <folder>/devices/<name>/<serial of next>.replaces. Nothing where both are of one key.
[[nodiscard]] Status note_replacement(const Authority& authority, const std::string& device, std::string_view present,
                                      std::string_view next);
// Revokes the certificate whose place `present`, the one that counts, has taken; says whether it did, and then the authority's list names it.
[[nodiscard]] Result<bool> revoke_replaced(const Authority& authority, const std::string& device, std::string_view present,
                                           Timestamp now);
// Boards of which a note is kept.
[[nodiscard]] Result<std::vector<std::string>> boards_with_replacements(const Authority& authority);

// Revokes every certificate of that name; returns the new list (CRL). not_found where there is
// none.
[[nodiscard]] Result<std::string> revoke_device(const Authority& authority,
                                                const std::string& device, std::string_view reason,
                                                Timestamp now);

}  // namespace outcrop::pki
