#pragma once

#include <map>
#include <string>
#include <vector>

#include "protocol/messages/command.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/trust/ed25519.hpp"
#include "protocol/trust/roles.hpp"

namespace outcrop {

// One variant of a scripted release (scripted_runner.cpp).
struct ScriptedVariant {
  std::string name = "int8-qint8";
  double offset = 0;
  std::int64_t call_ms = 0;
  double sampler_offset = 0;      // of forward only, which is what boards serve
  std::int64_t sampler_ms = 0;    // likewise
  std::int64_t crash_at_call = 0;
  std::int64_t kill_at_call = 0;
  std::int64_t crash_after_ms = 0;
  std::int64_t load_ms = 0;
  std::int64_t crash_at_rows = 0;
  std::int64_t fail_at_rows = 0;
  std::size_t padding = 200'000;  // bytes to be transferred
  std::string engine = "torch";
  std::string backend = "qnnpack";
  std::vector<std::string> operators{"test::script"};
};

struct ForgedRelease {
  trust::Sha256Digest manifest;
  ByteCount manifest_size;
  std::map<trust::Sha256Digest, std::string> blobs;  // manifest, blobs, chunk tables
  std::map<std::string, messages::BlobReference> variants;
};

// Keys and signed metadata of a host that a test plays, and releases whose "models" are scripts.
// Versions rise with each change; envelopes() is what is to be published.
class Forge {
 public:
  static constexpr const char* model = "curvefault";
  static constexpr const char* device_class = "raspberry-pi-4";

  // `directed`: its root names a director; else it is one of before protocol 5.
  explicit Forge(bool directed = true);

  struct ReleaseOptions {
    std::uint64_t stage = 1;
    std::vector<ScriptedVariant> variants{{}};
    std::vector<messages::Budget> budgets{{device_class, 1000.0, 2000.0}};
    std::string minimum_agent = "0.1.0";
    int minimum_protocol = messages::signature_since;
  };
  [[nodiscard]] static ForgedRelease make_release(const ReleaseOptions& options);

  void permit(const ForgedRelease& release);
  void withdraw(const ForgedRelease& release);
  void revoke(const ForgedRelease& release, const std::string& reason);
  // The stage role is signed by a key that targets does not name.
  void sign_stage_with_another_key();
  void let_stage_expire();

  // The next root, with a new key for the director.
  void replace_director();
  // As outcropd sends it to this board; unsigned where no director is named.
  [[nodiscard]] std::string command(
      const std::string& device, const messages::Command& command,
      std::chrono::seconds valid = std::chrono::hours(1),
      const std::string& signer = "director") const;

  [[nodiscard]] messages::Move move(const messages::BrokerMove& move, const std::string& signer = "targets") const;

  [[nodiscard]] const std::string& root() const { return root_envelope_; }  // the first
  [[nodiscard]] std::uint64_t snapshot_version() const { return snapshot_.version; }
  // role -> envelope
  [[nodiscard]] std::map<std::string, std::string> envelopes();

 private:
  std::map<std::string, trust::PrivateKey> keys_;
  trust::RootMetadata root_;
  std::string root_envelope_;
  std::map<std::string, std::string> later_roots_;
  trust::TargetsMetadata targets_;
  trust::RevokedMetadata revoked_;
  trust::StageMetadata stage_;
  trust::SnapshotMetadata snapshot_;
  trust::TimestampMetadata timestamp_;
  std::string stage_key_ = "stage";
};

}  // namespace outcrop
