#pragma once

#include <string>
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

// Revokes every certificate of that name; returns the new list (CRL). not_found where there is
// none.
[[nodiscard]] Result<std::string> revoke_device(const Authority& authority,
                                                const std::string& device, std::string_view reason,
                                                Timestamp now);

}  // namespace outcrop::pki
