"""Text models of the thesis's Table 4.1: LDA, Word2Vec, Doc2Vec, FastText and GloVe."""
