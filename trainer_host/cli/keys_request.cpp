#include "trainer_host/cli/keys_request.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/without_controls.hpp"
#include "protocol/trust/role_codec.hpp"
#include "trainer_host/release/sign_documents.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

using release::SigningRequest;

struct RequestOptions {
  fs::path request;
  std::string key;
  fs::path out;
};

void print_missing(const std::vector<std::string>& missing, const fs::path& request) {
  if (missing.empty()) std::printf("All have signed; %s\n", release::how_to_join(request).c_str());
  for (const std::string& words : missing) std::printf("Missing: %s\n", words.c_str());
}

Status run_sign_request(const RequestOptions& options) {
  OUTCROP_TRY(request, release::read_request(options.request));
  OUTCROP_TRY(words, request.in_words());
  std::printf("%s", words.c_str());
  const fs::path& out = options.out.empty() ? options.request : options.out;
  if (!options.key.empty()) {
    OUTCROP_TRY(key, release::open_signing_key(options.key));
    OUTCROP_CHECK(request.sign(key));
    OUTCROP_CHECK(write_file_durably(out, request.to_json()));
    std::printf("Signed by %s: %s\n", key.id().short_hex().c_str(), out.c_str());
  }
  OUTCROP_TRY(missing, request.missing());
  print_missing(missing, options.key.empty() ? options.request : out);
  return {};
}

struct JoinOptions {
  fs::path folder;
  std::vector<fs::path> copies;
  std::string model;
};

std::optional<std::string> named_model(const std::string& model) {
  return model.empty() ? std::nullopt : std::optional(model);
}

// The model whose list a request is of.
Result<std::optional<std::string>> model_of(const SigningRequest& request) {
  const SigningRequest::Document& document = request.documents().front();
  if (document.kind != trust::StageMetadata::kind) return std::optional<std::string>();
  OUTCROP_TRY(payload, trust::unverified_payload(document.envelope, document.kind));
  OUTCROP_TRY(list, trust::parse_role<trust::StageMetadata>(payload));
  return std::optional(list.model);
}

void say_left_aside(const std::string& words) {
  std::fprintf(stderr, "outcrop: left aside: %s\n", without_controls(words).c_str());
}

Status run_join(const JoinOptions& options) {
  std::vector<release::SignedCopy> copies;
  std::vector<std::string> unread;
  std::optional<Error> last;
  std::optional<std::string> model = named_model(options.model);
  for (const fs::path& file : options.copies) {
    auto copy = release::read_request(file);
    const auto kind = copy ? model_of(*copy) : Result<std::optional<std::string>>(fail(copy.error()));
    if (!kind) {
      last = kind.error();
      unread.push_back(last->message());
      continue;
    }
    const std::optional<std::string>& of = *kind;
    if (of != model && (!copies.empty() || model)) {
      return fail(ErrorCode::invalid_argument, file.string() + " is of another request than what is named beside it");
    }
    model = of;
    copies.push_back({file.string(), std::move(*copy)});
  }
  if (last && copies.empty()) return fail(Error(last->code(), join(unread, "; ")));
  for (const std::string& words : unread) say_left_aside(words);
  OUTCROP_TRY(left_aside, release::join_request(options.folder, model, copies));
  for (const std::string& words : left_aside) say_left_aside(words);
  std::printf("All have signed: it counts in %s from now on. Hand it to outcropd:\n  outcrop keys publish --dir %s\n",
              options.folder.c_str(), options.folder.c_str());
  say_waiting(options.folder);
  return {};
}

Status run_drop(const JoinOptions& options) {
  OUTCROP_CHECK(release::drop_request(options.folder, named_model(options.model)));
  std::printf("Dropped. Nothing has changed.\n");
  return {};
}

void add_sign_verb(CLI::App& keys, Action& chosen) {
  auto options = std::make_shared<RequestOptions>();
  CLI::App* sign = keys.add_subcommand("sign", "Show what a signing request asks for, and sign it where the key is");
  sign->add_option("request", options->request, "The request, or a copy of it: KEYS/request.json")->required();
  sign->add_option("--key", options->key, "Key to sign with: a PEM file or a PKCS#11 URI; without it the request is only shown");
  sign->add_option("--out", options->out, "File to write; default: the request itself");
  sign->footer(
      "Needs neither the key folder nor a network. Read what is shown: the signature is yours.\n"
      "Example:\n  outcrop keys sign /media/stick/request.json --key root.key");
  sign->callback([options, &chosen] { chosen = [options] { return run_sign_request(*options); }; });
}

void add_join(CLI::App& keys, Action& chosen) {
  auto options = std::make_shared<JoinOptions>();
  CLI::App* join = keys.add_subcommand("join", "Join signed copies of a request; with enough signatures it counts");
  join->add_option("copy", options->copies, "Signed copies; none: what waits has all its signatures");
  join->add_option("--dir", options->folder, "Key folder")->required();
  join->add_option("--model", options->model, "Without copies: the request of this model's list of releases");
  join->footer("Example:\n  outcrop keys join /media/alice/request.json /media/bob/request.json --dir keys");
  join->callback([options, &chosen] { chosen = [options] { return run_join(*options); }; });
}

void add_drop(CLI::App& keys, Action& chosen) {
  auto options = std::make_shared<JoinOptions>();
  CLI::App* drop = keys.add_subcommand("drop", "Give up a request that waits for signatures");
  drop->add_option("--dir", options->folder, "Key folder")->required();
  drop->add_option("--model", options->model, "The request of this model's list of releases");
  drop->footer("Example:\n  outcrop keys drop --dir keys");
  drop->callback([options, &chosen] { chosen = [options] { return run_drop(*options); }; });
}

}  // namespace

void add_request_option(CLI::App& verb, release::Missing& missing) {
  verb.add_flag_callback(
      "--request", [&missing] { missing = release::Missing::request; },
      "Where signatures are missing, leave KEYS/request.json for them (outcrop keys sign, join)");
}

bool say_waiting(const fs::path& keys) {
  const std::vector<std::string> waiting = release::waiting_requests(keys);
  for (const std::string& words : waiting) std::printf("%s\n", words.c_str());
  return !waiting.empty();
}

void add_signing(CLI::App& keys, Action& chosen) {
  add_sign_verb(keys, chosen);
  add_join(keys, chosen);
  add_drop(keys, chosen);
}

}  // namespace outcrop::cli
