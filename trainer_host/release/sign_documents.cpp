#include "trainer_host/release/sign_documents.hpp"

#include <algorithm>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/shell_word.hpp"
#include "trainer_host/release/settle.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;
namespace {

template <class Role>
SigningRequest::Document unsigned_document(const Role& role) {
  return {std::string(Role::kind), trust::write_envelope(Role::kind, as_bytes(trust::to_json(role)), {})};
}

std::string sentence_of(const std::vector<std::string>& missing) {
  return join(missing, "; ");
}

// The key folder of a request that lies where requests wait: KEYS/request.json, KEYS/stages/MODEL/request.json.
std::optional<fs::path> folder_of(const fs::path& file) {
  std::error_code error;
  const fs::path here = fs::absolute(file, error).lexically_normal().parent_path();
  if (is_key_folder(here)) return here;
  const fs::path above = here.parent_path().parent_path();
  if (here.parent_path().filename() == "stages" && is_key_folder(above)) return above;
  return std::nullopt;
}

std::string waits(const fs::path& file, const std::vector<std::string>& missing) {
  const std::string request = shell_word(file.string());
  const std::string keys = shell_word(folder_of(file).value_or("KEYS").string());
  const fs::path folder = file.parent_path();
  const std::string model = folder.parent_path().filename() == "stages" ? " --model " + folder.filename().string() : "";
  if (missing.empty()) return file.string() + " has all its signatures: outcrop keys join --dir " + keys + model;
  return file.string() + " waits for signatures: " + sentence_of(missing) + ". Take a copy to where such a key is, there: outcrop keys sign " +
         request + " --key FILE; back here: outcrop keys join COPY --dir " + keys + ". To give it up: outcrop keys drop --dir " + keys + model;
}

// By what was verified alone: a request says nothing by itself.
Status put_in_place(const KeyStorePaths& paths, const SigningRequest& request) {
  OUTCROP_TRY(first, pin_root_file(paths.metadata() / root_file_name(1)));
  OUTCROP_TRY(newest, follow_roots(std::move(first), paths.metadata()));
  trust::TrustedRoot root = std::move(newest);
  const auto envelope_of = [&](std::string_view kind) -> const std::string* {
    for (const SigningRequest::Document& document : request.documents()) {
      if (document.kind == kind) return &document.envelope;
    }
    return nullptr;
  };
  const std::string* root_envelope = envelope_of("root");
  // Cut off after the root was written: it is the newest already.
  if (root_envelope != nullptr && root.envelope() != *root_envelope) {
    OUTCROP_TRY(next, root.follow(*root_envelope));
    root = std::move(next);
  }
  if (const std::string* targets = envelope_of("targets")) {
    OUTCROP_CHECK(trust::verify_targets(root, *targets));
    OUTCROP_CHECK(write_file_durably(paths.metadata() / "targets.json", *targets));
  }
  if (const std::string* revoked = envelope_of("revoked")) {
    OUTCROP_CHECK(trust::verify_revoked(root, *revoked));
    OUTCROP_CHECK(write_file_durably(paths.metadata() / "revoked.json", *revoked));
  }
  if (root_envelope == nullptr) return {};
  return write_file_durably(paths.metadata() / root_file_name(root->version), *root_envelope);
}

Status remove_request(const fs::path& file) {
  std::error_code error;
  fs::remove(file, error);
  if (error) return fail(ErrorCode::io, file.string() + ": " + error.message());
  return sync_folder(file.parent_path());
}

// The request is on the disk first: what is cut off from here on is finished by take_up_request().
Status install(const KeyStorePaths& paths, const SigningRequest& request) {
  const fs::path file = request_file(paths.folder());
  OUTCROP_CHECK(write_file_durably(file, request.to_json()));
  OUTCROP_CHECK(put_in_place(paths, request));
  OUTCROP_CHECK(remove_request(file));
  return settle_keys(paths);
}

Status install_list(const KeyStorePaths& paths, std::string_view model, const SigningRequest& request) {
  OUTCROP_TRY(store, read_key_store(paths.folder()));
  const std::string& envelope = request.documents().front().envelope;
  OUTCROP_CHECK(trust::verify_stage(store.targets, store.revoked, model, envelope));
  if (envelope.size() > trust::envelope_limit.value()) {
    return fail(ErrorCode::refused, "the list of permitted releases of '" + std::string(model) +
                                        "' would be too long; withdraw releases that nobody should install any more");
  }
  OUTCROP_CHECK(write_file_durably(paths.stage(model) / "stage.json", envelope));
  const fs::path file = stage_request_file(paths, model);
  std::error_code error;
  return fs::exists(file, error) ? remove_request(file) : Status();
}

fs::path file_of(const fs::path& keys, const std::optional<std::string>& model) {
  return model ? stage_request_file(KeyStorePaths(keys), *model) : request_file(keys);
}

Status nothing_waits(const fs::path& keys, const fs::path& file) {
  OUTCROP_CHECK(check_key_folder(keys));
  return fail(ErrorCode::not_found, "nothing waits for signatures here: there is no " + file.string() +
                                        ". If it was lost, give the verb that made it again (one of offline keys with --request): that makes "
                                        "another request, which is signed anew");
}

constexpr const char* signed_elsewhere = "give the same command with --request, and take what it leaves to where they are";

}  // namespace

fs::path request_file(const fs::path& keys) {
  return keys / "request.json";
}

fs::path stage_request_file(const KeyStorePaths& paths, std::string_view model) {
  return paths.stage(model) / "request.json";
}

Result<SigningRequest> read_request(const fs::path& file) {
  OUTCROP_TRY(text, read_text_file(file, signing_request_limit));
  auto request = SigningRequest::parse(text);
  if (!request) return fail(request.error().context(file.string()));
  return request;
}

Status take_up_request(const fs::path& keys) {
  const fs::path file = request_file(keys);
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  OUTCROP_TRY(request, read_request(file));
  OUTCROP_TRY(missing, request.missing());
  if (!missing.empty()) return fail(ErrorCode::refused, waits(file, missing));
  return install(KeyStorePaths(keys), request);
}

Result<std::vector<SigningKey>> keys_at_hand(const KeyStorePaths& paths, const KeyStoreTrust& store,
                                             const std::string& role, Missing missing) {
  std::vector<fs::path> files = offline_key_files(paths, role);
  const trust::Signers signers = store.root.signers(role);
  std::vector<SigningKey> keys;
  for (const fs::path& file : files) {
    OUTCROP_TRY(key, open_signing_key(file));
    if (!signers.keys.contains(key.id())) {
      return fail(ErrorCode::untrusted, file.string() + " is not the key that root version " +
                                            std::to_string(store.root->version) + " names for " + role);
    }
    keys.push_back(std::move(key));
  }
  // Where revoked has no file of its own, the keys of targets that it names.
  if (role == "revoked" && files.empty()) {
    OUTCROP_TRY(of_targets, keys_at_hand(paths, store, "targets", missing));
    std::copy_if(of_targets.begin(), of_targets.end(), std::back_inserter(keys),
                 [&](const SigningKey& key) { return signers.keys.contains(key.id()); });
  }
  if (keys.empty() && missing == Missing::refuse) {
    return fail(ErrorCode::not_found, paths.offline_key(role).string() +
                                          " is not here: bring the offline keys back, or " + signed_elsewhere);
  }
  return keys;
}

Status sign_documents(const KeyStorePaths& paths, const KeyStoreTrust& store, const NextDocuments& next,
                      const std::vector<SigningKey>& keys, Missing missing) {
  std::vector<SigningRequest::Document> documents;
  if (next.root) documents.push_back(unsigned_document(*next.root));
  if (next.targets) documents.push_back(unsigned_document(*next.targets));
  if (next.revoked) documents.push_back(unsigned_document(*next.revoked));
  OUTCROP_TRY(request, SigningRequest::make(store.root.envelope(), store.targets.envelope(), std::move(documents),
                                                    {store.revoked.envelope(), ""}));
  for (const SigningKey& key : keys) {
    const Status status = request.sign(key);
    // A key of another role of this folder, or one that two files hold.
    if (!status && status.error().code() != ErrorCode::refused) return status;
  }
  OUTCROP_TRY(lacking, request.missing());
  if (lacking.empty()) return install(paths, request);
  if (missing == Missing::request) return write_file_durably(request_file(paths.folder()), request.to_json());
  return fail(ErrorCode::refused, sentence_of(lacking) + ". For keys that are kept elsewhere, " + signed_elsewhere);
}

Status sign_documents_of_new_keys(const KeyStorePaths& paths, const KeyStoreTrust& store, const NextDocuments& next,
                                  const std::vector<SigningKey>& keys, Missing missing) {
  const Status done = sign_documents(paths, store, next, keys, missing);
  std::error_code error;
  // The error of this is not what the caller is to hear.
  if (!done && !fs::exists(request_file(paths.folder()), error)) (void)settle_keys(paths);
  return done;
}

Result<std::optional<std::string>> sign_list(const KeyStorePaths& paths, const KeyStoreTrust& store,
                                             const trust::StageMetadata& list, const SigningKey& key) {
  const fs::path file = stage_request_file(paths, list.model);
  OUTCROP_CHECK(no_list_waits(paths, list.model));
  // The one before may count no more: it is only shown.
  const std::string before = read_text_file(paths.stage(list.model) / "stage.json", trust::envelope_limit).value_or("");
  OUTCROP_TRY(request, SigningRequest::make(store.root.envelope(), store.targets.envelope(), {unsigned_document(list)}, {"", before}));
  OUTCROP_CHECK(request.sign(key));
  OUTCROP_TRY(lacking, request.missing());
  if (!lacking.empty()) {
    OUTCROP_CHECK(write_file_durably(file, request.to_json()));
    return std::optional<std::string>();
  }
  OUTCROP_CHECK(install_list(paths, list.model, request));
  return std::optional(request.documents().front().envelope);
}

Status no_list_waits(const KeyStorePaths& paths, std::string_view model) {
  const fs::path file = stage_request_file(paths, model);
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  OUTCROP_TRY(waiting, read_request(file));
  OUTCROP_TRY(missing, waiting.missing());
  return fail(ErrorCode::refused, waits(file, missing));
}

Result<std::vector<std::string>> join_request(const fs::path& keys, const std::optional<std::string>& model,
                                              const std::vector<SignedCopy>& copies) {
  const fs::path file = file_of(keys, model);
  std::error_code error;
  if (!fs::exists(file, error)) return fail(nothing_waits(keys, file).error());
  const KeyStorePaths paths(keys);
  UniqueFd lock;
  if (model) {
    OUTCROP_TRY(held, lock_file(paths.stage(*model) / "lock", 0600));
    lock = std::move(held);
  }
  OUTCROP_TRY(request, read_request(file));
  std::vector<std::string> left_aside;
  std::optional<Error> last;
  for (const SignedCopy& copy : copies) {
    const Status joined = request.join(copy.request);
    if (joined) continue;
    last = joined.error().context(copy.name);
    left_aside.push_back(last->message());
  }
  // Nothing that was brought is of use.
  if (last && left_aside.size() == copies.size()) return fail(Error(last->code(), join(left_aside, "; ")));
  OUTCROP_CHECK(write_file_durably(file, request.to_json()));
  OUTCROP_TRY(missing, request.missing());
  if (!missing.empty()) {
    left_aside.push_back(waits(file, missing));
    return fail(ErrorCode::refused, join(left_aside, "; "));
  }
  OUTCROP_CHECK(model ? install_list(paths, *model, request) : install(paths, request));
  return left_aside;
}

std::string how_to_join(const fs::path& file) {
  const auto keys = folder_of(file);
  if (!keys) return "where the key folder is: outcrop keys join " + shell_word(file.string()) + " --dir KEYS";
  const fs::path folder = fs::absolute(file).lexically_normal().parent_path();
  return "outcrop keys join --dir " + shell_word(keys->string()) + (folder == *keys ? "" : " --model " + folder.filename().string());
}

std::vector<std::string> waiting_requests(const fs::path& keys) {
  std::vector<fs::path> files{request_file(keys)};
  std::error_code error;
  for (fs::directory_iterator entry(keys / "stages", error), end; !error && entry != end; entry.increment(error)) {
    files.push_back(entry->path() / "request.json");
  }
  std::vector<std::string> words;
  for (const fs::path& file : files) {
    if (!fs::exists(file, error)) continue;
    const auto missing = read_request(file).and_then([](const SigningRequest& request) { return request.missing(); });
    words.push_back(missing ? waits(file, *missing) : missing.error().message());
  }
  return words;
}

Status drop_request(const fs::path& keys, const std::optional<std::string>& model) {
  const fs::path file = file_of(keys, model);
  std::error_code error;
  if (!fs::exists(file, error)) return nothing_waits(keys, file);
  OUTCROP_CHECK(remove_request(file));
  return model ? Status() : settle_keys(KeyStorePaths(keys));
}

}  // namespace outcrop::release
