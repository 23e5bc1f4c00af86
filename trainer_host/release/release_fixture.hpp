#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/messages/artifact.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/release/create.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/open.hpp"

namespace outcrop::release {

// A clock that stands where a test puts it.
class SetClock final : public Clock {
 public:
  [[nodiscard]] Timestamp now() const override { return now_; }
  void advance(std::chrono::days days) { now_ += days; }

 private:
  Timestamp now_{std::chrono::seconds(1'800'000'000)};
};

// Keys for the models "curvefault" and "flatvel", and a stage folder of "curvefault" with two
// variants whose files are no models: the prover here says what a runner would.
class ReleaseTest : public ::testing::Test {
 protected:
  void SetUp() override;

  // A stage folder of its own; `text` goes into the variant files.
  std::filesystem::path make_stage(const std::string& name, std::uint64_t stage,
                                   const std::string& text = "weights");
  // The same as versions of protocol 3 left it.
  std::filesystem::path make_earlier_stage(const std::string& name, std::uint64_t stage);
  CreateRequest request(const std::string& out = "release") const;
  Result<CreatedRelease> create(const CreateRequest& request);
  // What the owner of the key folder sees.
  Result<VerifiedRelease> open(const std::string& out = "release", Checks* checks = nullptr) const;

  messages::StageArtifact describe_stage(const std::filesystem::path& folder, std::uint64_t stage,
                                         const std::string& text);

  HostProof proof_;       // what the prover answers
  int proofs_ = 0;        // how often it was asked
  Status prover_status_;  // what it fails with
  SetClock clock_;
  TemporaryFolder folder_;
  std::filesystem::path keys_ = folder_.path() / "keys";
  std::filesystem::path stage_folder_;
};

}  // namespace outcrop::release
