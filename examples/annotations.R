# Annotate a run from R, and look at the answers as a data frame.
#
#   Rscript examples/annotations.R run.mzML library.csv results
#
# It wants the package jsonlite, and molvis on the PATH.
library(jsonlite)

arguments <- commandArgs(trailingOnly = TRUE)
stopifnot("give a run, a library and a folder" = length(arguments) == 3)
results <- arguments[3]

# R puts its own libraries first, and a Python that is not the system's would load the system's.
told <- system2("molvis", c("annotate", shQuote(arguments[1]), "--library", shQuote(arguments[2]),
                            "--out", shQuote(results), "--json", "--quiet"),
                stdout = TRUE, env = "LD_LIBRARY_PATH=")
if (!is.null(attr(told, "status"))) stop("molvis annotate ended with status ", attr(told, "status"))
summary <- fromJSON(paste(told, collapse = "\n"))
cat(summary$features, "features, of which", summary$searched, "were searched\n")

# A list of features; each has a list of candidates, the best first.
features <- fromJSON(file.path(results, "annotations.json"), simplifyVector = FALSE)$features
or_na <- function(value, empty = NA) if (is.null(value)) empty else value
rows <- lapply(features, function(feature) {
  best <- if (length(feature$candidates)) feature$candidates[[1]] else list()
  data.frame(
    feature = feature$feature_id,
    mz = feature$mz,
    minutes = or_na(feature$time_s) / 60,
    level = feature$level,
    name = or_na(best$name, ""),
    formula = or_na(best$formula, ""),
    adduct = or_na(best$adduct, ""),
    probability = or_na(best$probability_joint)
  )
})
answers <- do.call(rbind, rows)
print(answers, digits = 4)
write.csv(answers, file.path(results, "answers_from_r.csv"), row.names = FALSE)
