#include "trainer_host/cli/release.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "platform/console/step_progress.hpp"
#include "protocol/base/clock.hpp"
#include "trainer_host/cli/release_host.hpp"
#include "trainer_host/cli/release_output.hpp"
#include "trainer_host/cli/trust_options.hpp"
#include "trainer_host/release/create.hpp"
#include "trainer_host/release/host_prover.hpp"
#include "trainer_host/release/open.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

constexpr const char* create_footer = R"(A model no better than the mean of its training data, or that draws what these data are not, is not
released. A variant too far from the float one is left out, and the others are released.

Keys of a policy, with their defaults (docs/release-policy.md says more):

  minimum_quality = 0.0     # share of the mean's RMSE that the model must save; -inf: release anything
  most_spread = 2.0         # how far what it draws may lie from the mean, in spreads of the data
  factor = 1.5              # tolerance of a board = factor * what the variant showed here
  agreement = 0.02          # share by which runner and quantizer may differ
  expires_days = 365        # of the signed list of releases
  [output.NAME]             # of what the model gives, against the float variant, in its unit; where the
                            # model proposes nothing, shares of the range that its signature says:
  floor_mean_abs = ...      # 0.0005: tolerances are never tighter
  floor_max_abs = ...       # 0.005
  cap_mean_abs = ...        # 0.03: a variant above is left out
  cap_max_abs = ...         # 0.5
  agreement_mean_abs = ...  # 0.00005
  agreement_max_abs = ...   # 0.005

Example:
  outcrop release create run/stage1 --keys keys --out release-1)";

struct CreateOptions {
  release::CreateRequest request;
  fs::path policy;
  bool allow_reduced = false;
  bool json = false;
};

Status run_create(CreateOptions& options) {
  release::CreateRequest& request = options.request;
  if (!options.policy.empty()) {
    OUTCROP_TRY(policy, release::read_policy(options.policy));
    request.policy = std::move(policy);
  }
  const StepProgress progress("proving");
  runtime::RunnerOptions runner;
  if (options.allow_reduced) runner.confinement = runtime::Confinement::reduced;
  auto created =
      release::create_release(request, release::make_host_prover(runner), SystemClock(), progress);
  progress.finish();
  if (!created) return fail(std::move(created).error());
  for (const std::string& notice : created->notices) {
    std::fprintf(stderr, "outcrop: note: %s\n", notice.c_str());
  }
  print_created(*created, request.out, options.json);
  return {};
}

void add_create(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<CreateOptions>();
  CLI::App* create = parent.add_subcommand(
      "create", "Prove what a stage left on this host, and sign it as a release");
  create
      ->add_option("artifacts", options->request.artifact_folder,
                   "Stage folder with artifact.json, variants and golden files")
      ->required();
  create
      ->add_option("--keys", options->request.keys_folder,
                   "Key folder (its offline/ part is not needed)")
      ->required();
  create->add_option("--out", options->request.out, "Release folder to make")->required();
  create->add_option("--policy", options->policy,
                     "TOML file: how good the model and its variants must be, days of validity");
  create->add_flag("--skip-host-proof", options->request.skip_host_proof,
                   "For tests: sign without comparing outputs; the manifest says so");
  create->add_flag("--allow-reduced-confinement", options->allow_reduced,
                   "Run the variants on a machine that cannot confine them fully");
  create->add_flag("--json", options->json, "Print a JSON object instead of a table");
  create->footer(create_footer);
  create->callback([options, &chosen] { chosen = [options] { return run_create(*options); }; });
}

struct ReadOptions {
  fs::path folder;
  TrustOptions trust;
  bool json = false;
};

void add_read_options(CLI::App& verb, ReadOptions& options) {
  verb.add_option("release", options.folder, "Release folder")->required();
  add_trust_options(verb, options.trust);
  verb.add_flag("--json", options.json, "Print a JSON object instead of a table");
}

Status run_show(const ReadOptions& options) {
  OUTCROP_TRY(anchor, read_trust(options.trust));
  OUTCROP_TRY(release,
              release::open_release(options.folder, anchor.root, SystemClock(), {anchor.revoked}));
  auto quality = release.quality();
  if (!quality) {
    std::fprintf(stderr, "outcrop: note: how good the model is cannot be read: %s\n",
                 quality.error().message().c_str());
  }
  print_release(release, quality.value_or(std::nullopt), anchor.source, options.json);
  return {};
}

Status run_verify(const ReadOptions& options) {
  OUTCROP_TRY(anchor, read_trust(options.trust));
  release::Checks checks;
  auto release =
      release::open_release(options.folder, anchor.root, SystemClock(), {anchor.revoked}, &checks);
  if (release) {
    for (release::Check& check : release::check_blobs(*release)) checks.push_back(std::move(check));
  }
  print_checks(checks, options.folder, anchor.source, options.json);
  for (const release::Check& check : checks) {
    if (check.status) continue;
    Error error = check.status.error().context(options.folder.string() + " is not good");
    // A bad release is a failure, whatever kind of error it is; exit code 2 is for wrong use.
    if (error.code() == ErrorCode::invalid_argument) {
      error = Error(ErrorCode::invalid_data, error.message());
    }
    return fail(std::move(error));
  }
  return {};
}

void add_show(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<ReadOptions>();
  CLI::App* show = parent.add_subcommand("show", "Print what a verified release holds");
  add_read_options(*show, *options);
  show->footer("Example:\n  outcrop release show release-1 --keys keys");
  show->callback([options, &chosen] { chosen = [options] { return run_show(*options); }; });
}

void add_verify(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<ReadOptions>();
  CLI::App* verify = parent.add_subcommand(
      "verify", "Check every signature, digest, expiry and revocation of a release");
  add_read_options(*verify, *options);
  verify->footer("Example:\n  outcrop release verify release-1 --root keys/metadata/1.root.json");
  verify->callback([options, &chosen] { chosen = [options] { return run_verify(*options); }; });
}

}  // namespace

void add_release(CLI::App& app, Action& chosen) {
  CLI::App* parent =
      app.add_subcommand("release", "Make, verify, publish and take back signed releases");
  parent->require_subcommand(1);
  add_create(*parent, chosen);
  add_show(*parent, chosen);
  add_verify(*parent, chosen);
  add_release_host(*parent, chosen);
}

}  // namespace outcrop::cli
