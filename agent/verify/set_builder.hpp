#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "agent/verify/candidates.hpp"
#include "agent/verify/trusted_state.hpp"

namespace outcrop::agent {

// Finds, among what is believed and the candidates, the newest roles that belong together: the
// pure part of TUF's client workflow. Looks at both while it lives and changes neither.
class SetBuilder {
 public:
  // `latest_issue`: a timestamp that says it was signed later is not believed.
  SetBuilder(const TrustedState& state, const Candidates& candidates,
             std::optional<Timestamp> latest_issue)
      : state_(state), candidates_(candidates), latest_issue_(latest_issue) {}

  // timestamp, snapshot, targets, revoked, and the stage role of our model.
  [[nodiscard]] bool knows(const std::string& role) const;
  // Whether this very envelope is part of what is believed.
  [[nodiscard]] bool counts(const std::string& role, std::string_view envelope) const;
  // Why the envelope cannot count, whatever may come beside it: another key, a lower version, an
  // issue in the future. A stage role whose targets or revoked list is not here yet is not judged.
  [[nodiscard]] Status judge(const std::string& role, const std::string& envelope) const;

  // A revoked list newer than the one that counts. It needs no set around it.
  [[nodiscard]] std::optional<trust::Verified<trust::RevokedMetadata>> newer_revoked() const;

  struct Built {
    TrustedSet set;
    std::map<std::string, std::uint64_t> versions;  // of the roles in it
    bool stage_anew = false;  // another key signs for our model: its versions begin anew
  };
  // A whole set of a newer timestamp than that of the present one; the newest there is.
  [[nodiscard]] std::optional<Built> newer_set() const;

 private:
  // Whether `stage` is good with what is named: nothing where the set would lack it.
  std::optional<Built> build(const trust::Verified<trust::TimestampMetadata>& timestamp) const;
  bool add_stage(Built& built) const;
  bool stage_begins_anew(const trust::Verified<trust::TargetsMetadata>& targets) const;
  // The role's candidates and the one in the present set.
  std::vector<std::string> envelopes(const std::string& role) const;
  std::string present(const std::string& role) const;
  template <class Role>
  Result<trust::Verified<Role>> accepted(Result<trust::Verified<Role>> verified,
                                         const std::string& role) const;

  const TrustedState& state_;
  const Candidates& candidates_;
  std::optional<Timestamp> latest_issue_;
};

}  // namespace outcrop::agent
