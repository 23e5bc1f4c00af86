#include "agent/verify/metadata_store.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <spdlog/spdlog.h>

#include "agent/verify/candidates.hpp"
#include "agent/verify/set_builder.hpp"
#include "agent/verify/trusted_state.hpp"
#include "protocol/base/durable_file.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view root_prefix = "root/";

// Nothing for anything but a number without signs or leading zeros, as topics have them.
std::optional<std::uint64_t> root_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || std::to_string(number) != text) return std::nullopt;
  return number;
}

// Whether what is believed of this role is signed by enough of the keys that `root` names.
bool still_counts(const TrustedState& state, const trust::TrustedRoot& root,
                  std::string_view role) {
  if (role == trust::RevokedMetadata::kind) {
    return state.revoked && trust::verify_revoked(root, state.revoked->list.envelope());
  }
  if (!state.set) return false;
  if (role == trust::TargetsMetadata::kind) {
    return trust::verify_targets(root, state.set->targets.envelope()).has_value();
  }
  if (role == trust::SnapshotMetadata::kind) {
    return trust::verify_snapshot(root, state.set->snapshot.envelope()).has_value();
  }
  return role == trust::TimestampMetadata::kind &&
         trust::verify_timestamp(root, state.set->timestamp.envelope()).has_value();
}

// What the new root leaves of what was believed under the one before. Of a role whose new keys do not
// vouch for what is known it leaves nothing: its versions begin anew.
TrustedState under_root(TrustedState state, trust::TrustedRoot root) {
  state.floors.accept_root(*state.root, *root, [&](const std::string& role) {
    return still_counts(state, root, role);
  });
  const auto has_floor = [&](std::string_view role) {
    return state.floors.versions().contains(std::string(role));
  };
  if (!has_floor(trust::TimestampMetadata::kind)) state.time_floor.reset();
  if (!has_floor(trust::TimestampMetadata::kind) || !has_floor(trust::SnapshotMetadata::kind) ||
      !has_floor(trust::TargetsMetadata::kind)) {
    state.set.reset();
  }
  if (state.revoked && has_floor(trust::RevokedMetadata::kind)) state.revoked->root = root;
  state.root = std::move(root);
  return state;
}

trust::VersionFloors without(const trust::VersionFloors& floors, const std::string& role) {
  auto versions = floors.versions();
  versions.erase(role);
  return trust::VersionFloors(std::move(versions));
}

// The lowest time that is believed: never beyond the expiry of what offline keys signed.
Timestamp capped(Timestamp time, const TrustedState& state) {
  constexpr std::chrono::seconds before{1};
  time = std::min(time, state.root->expires - before);
  return state.set ? std::min(time, state.set->targets->expires - before) : time;
}

}  // namespace

class MetadataStore::Impl {
 public:
  Impl(fs::path file, TrustedState state, std::optional<std::string> trouble, const Clock& clock,
       std::function<bool()> clock_synchronised)
      : file_(std::move(file)),
        state_(std::move(state)),
        trouble_(std::move(trouble)),
        clock_(clock),
        clock_synchronised_(std::move(clock_synchronised)) {}

  Result<bool> accept(std::string_view role, std::string_view envelope) {
    if (envelope.size() > trust::envelope_limit.value()) {
      return fail(ErrorCode::invalid_data,
                  std::string(role) + ": an envelope of " + ByteCount(envelope.size()).human() +
                      ", more than the " + trust::envelope_limit.human() + " allowed");
    }
    if (role.starts_with(root_prefix)) {
      const auto version = root_number(role.substr(root_prefix.size()));
      if (version) return accept_root(*version, envelope);
    }
    const SetBuilder builder(state_, candidates_, latest_issue());
    const std::string name(role);
    if (!builder.knows(name)) {
      // Of another model: not ours to judge.
      if (role.starts_with(trust::stage_role(""))) return false;
      return fail(ErrorCode::invalid_argument, "no role is called '" + name + "'");
    }
    if (builder.counts(name, envelope)) return false;
    const Status judged = builder.judge(name, std::string(envelope));
    candidates_.add(name, envelope, [&](const std::string& other) {
      return builder.judge(name, other).has_value();
    });
    OUTCROP_TRY(changed, advance(state_, false));
    if (!changed && !judged) return fail(judged.error());
    return changed;
  }

  Result<bool> accept_root(std::uint64_t version, std::string_view envelope) {
    if (version <= state_.root->version) return false;
    if (version > state_.root->version + 1) {
      OUTCROP_CHECK(root_candidates_.add(version, envelope, state_.root->version));
      return false;
    }
    OUTCROP_TRY(root, state_.root.follow(envelope));
    TrustedState next = under_root(state_, std::move(root));
    while (const auto waiting = root_candidates_.take(next.root->version + 1)) {
      auto following = next.root.follow(*waiting);
      if (!following) {
        spdlog::warn("metadata: {}", following.error().message());
        break;
      }
      next = under_root(std::move(next), std::move(*following));
    }
    if (state_.set && !next.set) keep_parts(*state_.set, next);
    return advance(std::move(next), true);
  }

  // What the new root did not touch is not sent again: it waits for the roles with new keys. Not
  // the timestamp, whose versions may begin anew.
  void keep_parts(const TrustedSet& set, const TrustedState& next) {
    const SetBuilder builder(next, candidates_, latest_issue());
    const auto keep = [&](const std::string& role, const std::string& envelope) {
      candidates_.add(role, envelope, [&](const std::string& other) {
        return builder.judge(role, other).has_value();
      });
    };
    keep("snapshot", set.snapshot.envelope());
    keep("targets", set.targets.envelope());
    if (!set.stage_envelope.empty()) keep(trust::stage_role(next.model), set.stage_envelope);
  }

  // Takes from the candidates what counts under `next`, which then becomes what is believed: on
  // disk first.
  Result<bool> advance(TrustedState next, bool changed) {
    const SetBuilder builder(next, candidates_, latest_issue());
    if (auto revoked = builder.newer_revoked()) {
      next.floors.raise(std::string(trust::RevokedMetadata::kind), (*revoked)->version);
      next.revoked = TrustedRevoked{std::move(*revoked), next.root};
      changed = true;
    }
    if (auto built = builder.newer_set()) {
      if (built->stage_anew) next.floors = without(next.floors, trust::stage_role(next.model));
      for (const auto& [role, version] : built->versions) next.floors.raise(role, version);
      next.set = std::move(built->set);
      const Timestamp issued = capped(next.set->timestamp->issued, next);
      next.time_floor = std::max(next.time_floor.value_or(issued), issued);
      next.received = clock_.now();
      changed = true;
    }
    if (!changed) return false;
    if (Status written = write_trusted_state(file_, next); !written) {
      unwritable_ = written.error().message();
      if (!is_newer(next.revoked)) return fail(std::move(written).error());
      state_.revoked = std::move(next.revoked);
      state_.floors.raise(std::string(trust::RevokedMetadata::kind), state_.revoked->list->version);
      return true;
    }
    unwritable_.reset();
    state_ = std::move(next);
    forget_what_counts();
    return true;
  }

  // By the same root: under another one, versions begin anew.
  [[nodiscard]] bool is_newer(const std::optional<TrustedRevoked>& revoked) const {
    if (!revoked || revoked->root->version != state_.root->version) return false;
    return !state_.revoked || revoked->list->version > state_.revoked->list->version;
  }

  void forget_what_counts() {
    if (state_.revoked) candidates_.forget("revoked", state_.revoked->list.envelope());
    if (!state_.set) return;
    candidates_.forget("timestamp", state_.set->timestamp.envelope());
    candidates_.forget("snapshot", state_.set->snapshot.envelope());
    candidates_.forget("targets", state_.set->targets.envelope());
    candidates_.forget(trust::stage_role(state_.model), state_.set->stage_envelope);
  }

  Timestamp now() const {
    const Timestamp floor = capped(state_.time_floor.value_or(Timestamp{}), state_);
    return clock_synchronised_() ? std::max(floor, clock_.now()) : floor;
  }

  // A clock that is right knows what lies in the future.
  std::optional<Timestamp> latest_issue() const {
    if (!clock_synchronised_()) return std::nullopt;
    return clock_.now() + std::chrono::days(1);
  }

  std::chrono::seconds age() const {
    if (!state_.set) return std::chrono::seconds(0);
    const Timestamp since = clock_synchronised_() ? state_.set->timestamp->issued : state_.received;
    return std::max(clock_.now() - since, std::chrono::seconds(0));
  }

  Result<trust::PermittedRelease> check_install(const trust::Sha256Digest& manifest,
                                                std::uint64_t snapshot_version) const {
    OUTCROP_CHECK(check_run(manifest));
    if (!state_.set || !state_.revoked) {
      return fail(ErrorCode::not_found, "no whole set of metadata is here yet; wait for it");
    }
    const TrustedSet& set = *state_.set;
    if (set.snapshot->version < snapshot_version) {
      return fail(ErrorCode::not_found, "the newest snapshot here is " +
                                            std::to_string(set.snapshot->version) + "; wait for " +
                                            std::to_string(snapshot_version));
    }
    const std::string stage_name = trust::stage_role(state_.model);
    if (set.stage_envelope.empty()) {
      return fail(ErrorCode::untrusted, stage_name + ": no release of this model is permitted");
    }
    OUTCROP_TRY(stage, trust::verify_stage(set.targets, state_.revoked->list, state_.model,
                                           set.stage_envelope));
    const Timestamp time = now();
    const auto current = [&]() -> Status {
      OUTCROP_CHECK(trust::check_expiry("root", *state_.root, time));
      OUTCROP_CHECK(trust::check_expiry("timestamp", *set.timestamp, time));
      OUTCROP_CHECK(trust::check_expiry("snapshot", *set.snapshot, time));
      OUTCROP_CHECK(trust::check_expiry("targets", *set.targets, time));
      OUTCROP_CHECK(trust::check_expiry("revoked", *state_.revoked->list, time));
      return trust::check_expiry(stage_name, *stage, time);
    };
    if (const Status status = current(); !status) {
      const auto floor = floor_ahead(state_);
      if (!floor) return fail(status.error());
      return fail(status.error().code(),
                  status.error().message() + " by the lowest time that this board believes, " +
                      to_rfc3339(*floor) + ", which the host signed with a clock that was ahead; " +
                      remedy_for_a_floor_ahead);
    }
    const trust::PermittedRelease* release = stage->release(manifest);
    if (release == nullptr) {
      return fail(ErrorCode::untrusted, stage_name + " version " + std::to_string(stage->version) +
                                            " does not permit the manifest " +
                                            manifest.short_hex());
    }
    return *release;
  }

  Status check_run(const trust::Sha256Digest& manifest) const {
    if (!state_.revoked) return {};
    return trust::check_not_revoked(state_.revoked->list, manifest);
  }

  bool counts(std::string_view role, std::string_view envelope) const {
    return SetBuilder(state_, candidates_, std::nullopt).counts(std::string(role), envelope);
  }

  std::optional<std::string> trouble() const { return unwritable_ ? unwritable_ : trouble_; }
  const TrustedState& state() const { return state_; }
  bool clock_synchronised() const { return clock_synchronised_(); }

 private:
  fs::path file_;
  TrustedState state_;
  std::optional<std::string> trouble_;     // with what was found at the start
  std::optional<std::string> unwritable_;  // why what came last is not on the disk
  Candidates candidates_;
  RootCandidates root_candidates_;
  const Clock& clock_;
  std::function<bool()> clock_synchronised_;
};

MetadataStore::MetadataStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MetadataStore::MetadataStore(MetadataStore&&) noexcept = default;
MetadataStore& MetadataStore::operator=(MetadataStore&&) noexcept = default;
MetadataStore::~MetadataStore() = default;

Result<MetadataStore> MetadataStore::open(const fs::path& folder, std::string_view root_envelope,
                                          std::string_view model, const Clock& clock,
                                          std::function<bool()> clock_synchronised,
                                          const std::map<std::string, std::uint64_t>& versions,
                                          std::optional<Timestamp> time) {
  std::error_code ignored;
  fs::create_directories(folder, ignored);  // whatever is written there says that it is missing
  const fs::path file = folder / "trusted.json";
  OUTCROP_TRY(read, read_trusted_state(file));
  KeptTwice(file).heal(read.reading);
  std::optional<TrustedState>& state = read.state;
  std::optional<std::string> trouble;
  if (read.reading.trouble) trouble = read.reading.trouble->message();
  const trust::Sha256Digest pinned = trust::sha256(root_envelope);
  if (state && state->pinned != pinned) {
    spdlog::warn("metadata: this board was enrolled anew with another root; trust begins there");
    state.reset();
  }
  const bool kept = state && state->model == model;
  if (!state) {
    if (trouble) *trouble += "; trust begins with the root of the enrolment";
    auto root = trust::TrustedRoot::pin(root_envelope);
    if (!root) return fail(root.error().context("the root of the enrolment"));
    state = TrustedState{pinned, std::string(model), std::move(*root), {}, {}, trust::VersionFloors(versions), {}, clock.now()};
    if (time) state->time_floor = capped(*time, *state);
  } else if (!kept) {
    state->model = model;
    state->set.reset();
  }
  if (!kept) {
    // Where it cannot be written, the next start comes to the same.
    if (const Status written = write_trusted_state(file, *state); !written) {
      spdlog::warn("{}", written.error().message());
      if (!trouble) trouble = written.error().message();
    }
  }
  return MetadataStore(std::make_unique<Impl>(file, std::move(*state), std::move(trouble), clock,
                                              std::move(clock_synchronised)));
}

std::vector<Expiry> MetadataStore::expiries() const {
  return agent::expiries(impl_->state());
}

std::optional<trust::Signers> MetadataStore::director() const {
  const trust::TrustedRoot& root = impl_->state().root;
  if (!trust::names_director(*root)) return std::nullopt;
  return root.signers(trust::director_role);
}

trust::Signers MetadataStore::owners() const {
  return impl_->state().root.signers(trust::TargetsMetadata::kind);
}

std::optional<std::string> MetadataStore::trouble() const {
  return impl_->trouble();
}

Result<bool> MetadataStore::accept(std::string_view role, std::string_view envelope) {
  return impl_->accept(role, envelope);
}

bool MetadataStore::counts(std::string_view role, std::string_view envelope) const {
  return impl_->counts(role, envelope);
}

std::uint64_t MetadataStore::root_version() const {
  return impl_->state().root->version;
}

std::uint64_t MetadataStore::snapshot_version() const {
  return impl_->state().set ? impl_->state().set->snapshot->version : 0;
}

std::uint64_t MetadataStore::stage_version() const {
  const auto& floors = impl_->state().floors.versions();
  const auto floor = floors.find(trust::stage_role(impl_->state().model));
  return floor == floors.end() ? 0 : floor->second;
}

std::chrono::seconds MetadataStore::age() const {
  return impl_->age();
}

Timestamp MetadataStore::now() const {
  return impl_->now();
}

bool MetadataStore::clock_synchronised() const {
  return impl_->clock_synchronised();
}

Result<trust::PermittedRelease> MetadataStore::check_install(const trust::Sha256Digest& manifest,
                                                             std::uint64_t snapshot_version) const {
  return impl_->check_install(manifest, snapshot_version);
}

Status MetadataStore::check_run(const trust::Sha256Digest& manifest) const {
  return impl_->check_run(manifest);
}

}  // namespace outcrop::agent
