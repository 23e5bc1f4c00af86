#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agent/state/kept_twice.hpp"
#include "protocol/base/bytes.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/trust/verified_blob.hpp"

namespace outcrop::agent {

// A blob that has arrived and lies on the disk, not yet verified as a whole: what pull yields and
// what only verify() may turn into a VerifiedBlob.
class StagedBlob {
 public:
  StagedBlob(std::filesystem::path file, trust::Sha256Digest digest, ByteCount size)
      : file_(std::move(file)), digest_(digest), size_(size) {}
  [[nodiscard]] const std::filesystem::path& file() const { return file_; }
  [[nodiscard]] const trust::Sha256Digest& digest() const { return digest_; }
  [[nodiscard]] ByteCount size() const { return size_; }

 private:
  std::filesystem::path file_;
  trust::Sha256Digest digest_;
  ByteCount size_;
};

// A release and the variant of it that serves, or served.
struct Installed {
  trust::Sha256Digest manifest;
  ByteCount manifest_size;
  std::string variant;
  bool operator==(const Installed&) const = default;
};

// One that neither serves nor is the one before.
struct KeptRelease {
  Installed release;
  Timestamp until;
};

// The releases on this board: <state>/releases/
//   blobs/<sha256>        blobs by digest, manifests too; variants share what they share
//   blobs/<sha256>.part   a transfer that is not complete
//   slots.json            which release serves (active), which to return to (previous); kept twice
//   kept.json             which were neither any more lately: they stay for a week, the last two
//                         of them, so that no command makes a board pull again what it had
// Blobs are named by no more than a digest; they become VerifiedBlobs each time they are used.
class Slots {
 public:
  // Makes the folder where there is none and the disk takes it. A damaged slots.json is replaced by
  // its spare; where that is damaged, too, nothing serves until remember(). Errors: unsupported
  // where it is of a newer agent.
  [[nodiscard]] static Result<Slots> open(const std::filesystem::path& folder,
                                          ByteCount disk_reserve);

  [[nodiscard]] const std::optional<Installed>& active() const { return active_; }
  [[nodiscard]] const std::optional<Installed>& previous() const { return previous_; }
  // Active, previous, and what is kept besides: all that may be returned to without a transfer.
  [[nodiscard]] std::vector<Installed> installed() const;
  // The active release, unless it is known to lie here damaged: then nothing serves.
  [[nodiscard]] std::optional<Installed> serving() const;

  // What is wrong with slots.json since it was opened.
  [[nodiscard]] const std::optional<std::string>& trouble() const { return trouble_; }
  // It was lost with its spare, and nothing was activated since.
  [[nodiscard]] bool forgotten() const { return forgotten_; }
  // The release that somebody else still knows to have served; for slots that are forgotten().
  // It serves from now on, written down or not. not_found where its manifest is not here.
  [[nodiscard]] Status remember(const Installed& release);

  // Whether a release that is installed here was found damaged when it was looked at last.
  void found(const Installed& release, bool damaged);
  [[nodiscard]] bool damaged(const Installed& release) const;

  [[nodiscard]] bool has(const trust::Sha256Digest& blob) const;
  [[nodiscard]] std::filesystem::path partial_file(const trust::Sha256Digest& blob) const;
  // What a transfer that was cut off occupies on the disk already.
  [[nodiscard]] ByteCount partial_size(const trust::Sha256Digest& blob) const;
  // no_space, saying how much is free and how much is wanted, where `bytes` more would eat the
  // reserve. Never removes anything.
  [[nodiscard]] Status reserve(ByteCount bytes) const;

  // Verifies what has arrived, syncs it and keeps it under its digest; a staged file that is not
  // what it should be is removed.
  [[nodiscard]] Result<trust::VerifiedBlob> keep(StagedBlob blob);
  // A blob that was kept: hashed again into sealed memory. A damaged one is removed (untrusted), so
  // that the next deployment pulls it anew.
  [[nodiscard]] Result<trust::VerifiedBlob> blob(const trust::Sha256Digest& digest, ByteCount size);
  [[nodiscard]] Result<messages::Manifest> manifest(const trust::Sha256Digest& digest,
                                                    ByteCount size);

  // Each of these three is durable, does nothing where it was done before, and fails with not_found
  // where the manifest is not here.
  // The release serves from now on, be it new or the previous one; what served before is the one to
  // return to.
  [[nodiscard]] Status activate(const Installed& release);
  // Whether what serves was committed, or on trial alone: then it is not kept when it leaves, for what lies here may be
  // returned to without another trial.
  enum class Leaving { committed, on_trial };
  // Back to the previous release (which then has no previous), or to nothing.
  [[nodiscard]] Status roll_back(Leaving leaving = Leaving::committed);
  // To a release that was committed before and still lies here, or (nullopt) to nothing.
  [[nodiscard]] Status return_to(const std::optional<Installed>& release, Leaving leaving = Leaving::committed);

  // Removes blobs, whole or partial, that neither what is installed() nor `also` (the deployment at
  // work) names: the digests in it, and what those among them name that are manifests. Removes
  // nothing at all where the manifest of active or previous cannot be read, or they are forgotten().
  [[nodiscard]] Status collect_garbage(const std::vector<trust::Sha256Digest>& also);
  // The same where the disk is too full: what is kept besides active and previous goes first.
  [[nodiscard]] Status make_room(const std::vector<trust::Sha256Digest>& also);

 private:
  Slots(std::filesystem::path folder, ByteCount reserve);
  [[nodiscard]] Status take(const std::filesystem::path& copy);
  // On disk before it counts; what is to serve must be there.
  Status change(std::optional<Installed> active, std::optional<Installed> previous, Leaving leaving = Leaving::committed);
  void read_kept();
  void keep_what_leaves(const std::optional<Installed>& active, const std::optional<Installed>& previous, Leaving leaving);
  void write_kept(std::vector<KeptRelease> kept);

  std::filesystem::path folder_;
  KeptTwice document_;
  ByteCount reserve_;
  std::optional<Installed> active_;
  std::optional<Installed> previous_;
  std::vector<KeptRelease> kept_;  // what left last comes first
  std::vector<Installed> damaged_;
  std::optional<std::string> trouble_;
  bool forgotten_ = false;
};

}  // namespace outcrop::agent
