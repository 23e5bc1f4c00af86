#include "agent/state/kept_twice.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class KeptTwiceTest : public ::testing::Test {
 protected:
  // A document means something where it begins with "good".
  std::string read() {
    taken_.clear();
    auto reading = document_.read([this](const fs::path& copy) -> Status {
      OUTCROP_TRY(text, read_text_file(copy));
      if (text.starts_with("newer")) return fail(ErrorCode::unsupported, "of a newer agent");
      if (!text.starts_with("good")) return fail(ErrorCode::invalid_data, "means nothing");
      taken_ = text;
      return {};
    });
    if (!reading) return "error: " + reading.error().message();
    reading_ = *reading;
    return reading_.trouble ? reading_.trouble->message() : std::string();
  }
  void put(const fs::path& file, const std::string& text) {
    ASSERT_THAT(write_file_durably(file, std::string_view(text)), IsOk());
  }
  static std::string content(const fs::path& file) {
    return read_text_file(file).value_or("(missing)");
  }
  fs::path damaged(const fs::path& file) const { return file.string() + ".damaged"; }

  TemporaryFolder folder_;
  KeptTwice document_{folder_.path() / "document"};
  const fs::path file_ = document_.file();
  const fs::path spare_ = document_.spare();
  KeptTwice::Reading reading_;
  std::string taken_;
};

TEST_F(KeptTwiceTest, is_nothing_at_first_and_then_two_files) {
  EXPECT_EQ(read(), "");
  EXPECT_FALSE(reading_.copy);
  ASSERT_THAT(document_.write("good 1"), IsOk());
  EXPECT_EQ(content(file_), "good 1");
  EXPECT_EQ(content(spare_), "good 1");
  EXPECT_EQ(read(), "");
  EXPECT_EQ(taken_, "good 1");
}

TEST_F(KeptTwiceTest, survives_the_loss_of_either_file) {
  const std::string nuls(100, '\0');
  for (const std::string& loss : {nuls, std::string(), std::string("(missing)")}) {
    for (const fs::path& file : {file_, spare_}) {
      ASSERT_THAT(document_.write("good 1"), IsOk());
      if (loss == "(missing)") {
        fs::remove(file);
      } else {
        put(file, loss);
      }
      const std::string trouble = read();
      EXPECT_EQ(taken_, "good 1");
      if (file == file_) {
        EXPECT_THAT(trouble, HasSubstr("its spare is used"));
      }
      document_.heal(reading_);
      EXPECT_EQ(content(file_), "good 1");
      EXPECT_EQ(content(spare_), "good 1");
      EXPECT_EQ(read(), "");
    }
  }
  EXPECT_EQ(content(damaged(file_)), "") << "the last one that was set aside";
}

TEST_F(KeptTwiceTest, says_that_both_are_lost_and_sets_them_aside) {
  put(file_, "bad");
  EXPECT_THAT(read(), HasSubstr("document is damaged (means nothing), and it has no spare"));
  put(spare_, "worse");
  EXPECT_THAT(read(), HasSubstr("and so is its spare"));
  EXPECT_EQ(reading_.trouble->code(), ErrorCode::invalid_data);
  document_.heal(reading_);
  EXPECT_EQ(content(file_), "(missing)");
  EXPECT_EQ(content(damaged(file_)), "bad");
  EXPECT_EQ(content(damaged(spare_)), "worse");
  EXPECT_EQ(read(), "");
}

TEST_F(KeptTwiceTest, leaves_what_is_of_a_newer_agent) {
  put(file_, "newer");
  put(spare_, "good 1");
  EXPECT_EQ(read(), "error: of a newer agent");
  EXPECT_EQ(content(file_), "newer");
}

TEST_F(KeptTwiceTest, keeps_an_older_spare_until_the_file_is_at_rest) {
  ASSERT_THAT(document_.write("good 1"), IsOk());
  put(file_, "good 2");  // killed before the spare was written
  EXPECT_EQ(read(), "");
  EXPECT_EQ(taken_, "good 2");
  document_.heal(reading_);
  EXPECT_EQ(content(spare_), "good 2");
  EXPECT_FALSE(fs::exists(damaged(spare_))) << "it was older, not damaged";
}

TEST_F(KeptTwiceTest, changes_nothing_where_the_disk_takes_nothing) {
  put(spare_, "good 1");
  // A folder where the temporary file belongs refuses root as well.
  fs::create_directory(file_.string() + ".tmp-" + std::to_string(::getpid()));
  EXPECT_FALSE(document_.write("good 2"));
  EXPECT_EQ(content(spare_), "good 1");
  EXPECT_THAT(read(), HasSubstr("document is missing; its spare is used"));
  document_.heal(reading_);
  EXPECT_EQ(read(), "document is missing; its spare is used");
  EXPECT_EQ(taken_, "good 1");
}

TEST_F(KeptTwiceTest, takes_what_cannot_be_read_for_no_damage) {
  // A link to itself is there and cannot be opened.
  fs::create_symlink(file_, file_);
  put(spare_, "good 1");
  EXPECT_THAT(read(), HasSubstr("document cannot be read"));
  EXPECT_EQ(taken_, "good 1");
  fs::remove(spare_);
  fs::create_symlink(spare_, spare_);
  EXPECT_THAT(read(), HasSubstr("error: document cannot be read"));
  put(file_, "bad");
  EXPECT_THAT(read(), HasSubstr("error: document is damaged"));
  EXPECT_TRUE(fs::is_symlink(spare_)) << "nothing was removed";
}

TEST_F(KeptTwiceTest, gives_both_files_their_mode) {
  const KeptTwice secret(folder_.path() / "key", 0600);
  ASSERT_THAT(secret.write("good"), IsOk());
  for (const fs::path& file : {secret.file(), secret.spare()}) {
    struct stat info {};
    ASSERT_EQ(::stat(file.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
  }
}

}  // namespace
}  // namespace outcrop::agent
