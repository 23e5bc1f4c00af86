#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "trainer_host/cli/trust_options.hpp"
#include "trainer_host/release/create.hpp"
#include "trainer_host/release/open.hpp"

namespace outcrop::cli {

// What `outcrop release` prints, as a table for people or as a JSON object.
void print_created(const release::CreatedRelease& created, const std::filesystem::path& folder,
                   bool json);
void print_release(const release::VerifiedRelease& release,
                   const std::optional<messages::Quality>& quality, const TrustSource& source,
                   bool json);
void print_checks(const release::Checks& checks, const std::filesystem::path& folder,
                  const TrustSource& source, bool json);

}  // namespace outcrop::cli
