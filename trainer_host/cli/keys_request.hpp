#pragma once

#include <filesystem>

#include "platform/cli/verb.hpp"
#include "trainer_host/release/key_store.hpp"

namespace outcrop::cli {

// --request, for every verb that signs with offline keys.
void add_request_option(CLI::App& verb, release::Missing& missing);

// Says what the key folder waits for, and how to go on; false where nothing waits.
bool say_waiting(const std::filesystem::path& keys);

// `outcrop keys sign`, `join` and `drop`: signatures that are made elsewhere.
void add_signing(CLI::App& keys, Action& chosen);

}  // namespace outcrop::cli
