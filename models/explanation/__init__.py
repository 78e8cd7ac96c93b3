"""Why a text was judged as it was: the score of each word, and a test of such scores."""
