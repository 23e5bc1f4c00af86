#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/trust/ed25519.hpp"

namespace outcrop::release {

// Keys that a person brings may be encrypted (PKCS #8, AES-256): by `outcrop keys encrypt`, or by
// `openssl pkcs8 -topk8 -v2 aes-256-cbc`. The passphrase is asked for on the terminal, once a program for each passphrase;
// without a terminal it is the first line of the file that OUTCROP_PASSPHRASE_FILE names, which nobody else may read.

inline constexpr std::size_t shortest_passphrase = 8;  // bytes, of a new one

// The first line of a file that nobody else may read; `named_by` is for messages.
[[nodiscard]] Result<std::string> read_secret_file(const std::filesystem::path& file, const std::string& named_by);

// Asks for a token's PIN on the terminal, once a program. refused where there is none.
[[nodiscard]] Result<std::string> ask_pin(const std::string& token);

// Reads a key of offline/, encrypted or not. untrusted where the passphrase is wrong; refused where nobody can be asked.
[[nodiscard]] Result<trust::PrivateKey> read_offline_key(const std::filesystem::path& file);

// Writes `key` to `path`, for it to replace `file`: encrypted where that one is, with its passphrase.
[[nodiscard]] Status write_like(const trust::PrivateKey& key, const std::filesystem::path& path,
                                const std::filesystem::path& file);

// Makes a key in a file of its own, for a person who is to sign for a role; encrypted where asked for. already_exists
// where a file is there.
[[nodiscard]] Result<trust::PublicKey> make_offline_key(const std::filesystem::path& file, bool encrypted);

// Encrypts the keys in offline/ of a key folder under one new passphrase, also those that are encrypted already; returns
// their files. A key is replaced as a whole or not at all.
[[nodiscard]] Result<std::vector<std::filesystem::path>> encrypt_offline_keys(const std::filesystem::path& folder);

}  // namespace outcrop::release
