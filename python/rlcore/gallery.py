"""Placeholder while being written."""
import numpy as np
from rlcore.mdp import MDP
def forest(S=3, r1=4.0, r2=2.0, p=0.1):
    P=np.zeros((S,2,S)); r=np.zeros((S,2))
    for s in range(S):
        P[s,0,0]+=p; P[s,0,min(s+1,S-1)]+=1-p; P[s,1,0]=1
    r[S-1,0]=r1; r[1:,1]=1; r[S-1,1]=r2
    return MDP.from_arrays(P,r,"SAS",initial=np.full(S,1/S))
